"""The command `siem status`: what it counts, and which states it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from receivers.splunk import TOKEN
from sqlalchemy import text
from support.command_calls import CommandCalls, write_document
from support.siem_commands import EVENTS, apply_siem, apply_source, siem_deployments, siem_document, siem_status

from blocks.store import source_status
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect


def test_a_siem_gets_every_event_once_and_status_counts_them(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    before = siem_status(call, siem)
    assert [one["waiting"] for one in before["apis"]] == [EVENTS] * 3
    assert before["state"] == "waiting"
    assert TOKEN not in json.dumps(before)
    done = call.json("siem", "run", siem)
    assert done[0]["state"] == "Forwarded"
    assert done[0]["message"].startswith("90 events sent to ")
    with source_status.opened_store() as engine, engine.connect() as connection:
        stored = set(connection.scalars(text("SELECT uuid FROM events")))
    assert set(splunk.arrivals.counts()) == stored
    assert set(splunk.arrivals.counts().values()) == {1}
    after = siem_status(call, siem)
    assert [(one["sent"], one["waiting"], one["oldest_waiting"]) for one in after["apis"]] == [(EVENTS, 0, None)] * 3
    assert after["state"] == "ok"
    assert call.json("siem", "run", siem)[0]["message"] == f"0 events sent to {siem}."
    assert siem_deployments(siem) == [f"{source} to {siem}"] or siem_deployments(siem)[0].startswith(
        f"{source} to {siem}-"
    )


def test_without_forwarding_enabled_no_event_is_sent(
    call: CommandCalls, name: str, api: SandboxProcess, splunk: Receiver
) -> None:
    apply_source(call, name, api, _siemForward=False)
    call("collect", name)
    siem = apply_siem(call, splunk, name)
    assert "_siemForward" in call.err
    done = call.json("siem", "run", siem)[0]
    assert done["state"] == "Skipped"
    assert "_siemForward is not true" in done["message"]
    assert splunk.arrivals.events == 0
    assert "_siemForward" in call("siem", "status", siem)


def test_an_invalid_token_stops_the_pair_until_it_is_mended(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source, token="another-token-than-splunk-has")
    done = call.json("siem", "run", siem, code=cli.IN_ERROR)[0]
    assert done["state"] == "ThirdPartyConfigError"
    requests_before = splunk.request_count
    assert call.json("siem", "run", siem, code=cli.IN_ERROR)[0]["state"] == "ThirdPartyConfigError"
    assert splunk.request_count == requests_before  # nothing is sent while nothing has changed
    found = siem_status(call, siem, code=cli.IN_ERROR)
    assert found["state"] == "ThirdPartyConfigError"
    assert "another-token" not in json.dumps(found)
    health = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert [one["eventName"] for one in health] == ["ThirdPartyConfigError"]
    write_document("siem.json", siem_document(siem, splunk, source))
    call("apply", "siem.json")
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    health = [one for one in call.json("health", source) if one["details"]["trackerId"] == f"forward/{siem}"]
    assert sorted(one["eventName"] for one in health) == ["Recovered", "ThirdPartyConfigError"]


@pytest.mark.parametrize("arguments", [("siem", "status", "none"), ("siem", "pause", "none"), ("siem", "run", "none")])
def test_an_unknown_siem_is_named(call: CommandCalls, source: str, arguments: tuple[str, ...]) -> None:
    assert "There is no SIEM named 'none'" in call(*arguments, code=cli.WRONG_USE)
