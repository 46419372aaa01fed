"""The command `siem test`: what would be sent, which rule filters it, and what the SIEM answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls, write_document
from support.siem_commands import apply_siem, siem_status

from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect


def test_the_records_are_shown_with_the_rule_that_filters_one(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    siem = apply_siem(call, splunk, source, rules=[{"drop": {"api": ["audit"]}}, {"remove": ["location"]}])
    found = call.json("siem", "test", siem, "--sample", "2")
    assert found["ok"] is True
    assert splunk.arrivals.events == 0
    apis = [one["api"] for one in found["events"]]
    assert apis == ["sign-in"] * 2 + ["itemUsage"] * 2 + ["audit"] * 2
    assert all("rule 1" in one["filtered_by"].lower() for one in found["events"] if one["api"] == "audit")
    records = [json.loads(one["record"]) for one in found["events"] if "record" in one]
    assert len(records) == 4
    assert not any("location" in record["event"] for record in records)
    assert {tuple(one["redacted"]) for one in found["events"] if "record" in one} == {("location",), ()}
    assert "filtered: " in call("siem", "test", siem, "--offline")


def test_processing_rules_of_the_source_are_shown_and_counted(
    call: CommandCalls, name: str, source: str, api: SandboxProcess, splunk: Receiver
) -> None:
    document_of_source = json.loads(Path("source.json").read_text())
    document_of_source["source"]["filters"] = [
        {"name": "no items", "filterType": "Exclude", "regexp": '.*"item_uuid".*'},
        {"name": "mask mail", "filterType": "Mask", "regexp": '"email":"([^"]+)@', "mask": "###"},
    ]
    write_document("source.json", document_of_source)
    assert call("apply", "source.json").startswith(f"{name}: updated")
    siem = apply_siem(call, splunk, source)
    found = call.json("siem", "test", siem, "--sample", "2", "--offline")["events"]
    why = {one["filtered_by"] for one in found if one["api"] == "itemUsage"}
    assert why == {'The source\'s processing rule "no items" excludes it.'}
    mails = [one["record"] for one in found if "@" in one.get("record", "")]
    assert mails
    assert all("###@" in record for record in mails)
    call("siem", "run", siem)
    counted = {one["api"]: (one["sent"], one["filtered"]) for one in siem_status(call, siem)["apis"]}
    assert counted["itemUsage"][0] == 0
    assert counted["itemUsage"][1] > 0
    assert counted["audit"][1] == 0
    assert json.loads(call("export", source))["source"]["filters"] == document_of_source["source"]["filters"]


def test_test_shows_the_answer_of_the_siem(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source, token="another-token-than-splunk-has")
    splunk.behave("status", None, status=403)
    found = call.json("siem", "test", siem, code=cli.IN_ERROR)
    assert found["ok"] is False
    assert "403" in found["answer"]
