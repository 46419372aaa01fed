"""Sources and SIEMs for tests of commands that forward, and their blocks and deployments in Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from receivers.splunk import TOKEN
from support.command_calls import CommandCalls, source_config, write_document
from support.prefect_reads import read_all

from blocks.prefect_names import block_name
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver

    from deployments.sandbox.process import SandboxProcess

EVENTS = 30


def apply_source(call: CommandCalls, name: str, api: SandboxProcess, **fields: Any) -> None:
    config = source_config(name, api, collect_from="7d", fields={"_siemForward": True, **fields})
    write_document("source.json", {"source": config})
    call("apply", "source.json")


def siem_document(name: str, splunk: Receiver, *sources: str, **config: Any) -> dict[str, Any]:
    members = {"url": splunk.url, "token": TOKEN, **config}
    return {"siem": {"name": name, "type": "splunk", "sources": list(sources), "config": members}}


def apply_siem(call: CommandCalls, splunk: Receiver, source: str, **config: Any) -> str:
    """Apply a SIEM of the kind splunk. Returns its name."""
    siem = f"soc of {source}"
    write_document("siem.json", siem_document(siem, splunk, source, **config))
    call("apply", "siem.json")
    return siem


def siem_status(call: CommandCalls, siem: str, code: int = cli.DONE) -> Any:
    return call.json("siem", "status", siem, code=code)[0]


def siem_deployments(siem: str) -> list[str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [one.name for one in read_all(client.read_deployments) if one.parameters.get("siem") == siem]


def siem_blocks(siem: str) -> list[str]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return [
            str(one.block_type_name) for one in read_all(client.read_block_documents) if one.name == block_name(siem)
        ]
