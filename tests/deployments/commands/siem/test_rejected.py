"""The command `siem rejected`: list, replay and discard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.siem_commands import apply_siem

from blocks.store import audit_log, source_status
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_rejected_events_are_listed_and_replayed(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    first = call.json("siem", "test", siem, "--sample", "1")["events"][0]["uuid"]
    splunk.vendor.bad.add(first)  # type: ignore[attr-defined]
    assert "1 rejected by it" in call.json("siem", "run", siem)[0]["message"]
    found = call.json("siem", "rejected", siem)
    assert [(one["uuid"], one["api"]) for one in found] == [(first, "sign-in")]
    assert first in call("siem", "rejected", siem)
    splunk.vendor.bad.clear()  # type: ignore[attr-defined]
    assert call("siem", "replay", siem, "--rejected") == f"{source} to {siem}: 1 event is sent again.\n"
    call("siem", "run", siem)
    assert splunk.arrivals.counts()[first] == 1
    assert call.json("siem", "rejected", siem) == []


def test_rejected_events_can_be_discarded(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    first = call.json("siem", "test", siem, "--sample", "1")["events"][0]["uuid"]
    splunk.vendor.bad.add(first)  # type: ignore[attr-defined]
    call("siem", "run", siem)
    assert "--reason needs --discard" in call("siem", "rejected", siem, "--reason", "x", code=cli.WRONG_USE)
    discarding = ("siem", "rejected", siem, "--discard", "--yes", "--reason", "a test account")
    assert call(*discarding) == f"{source} to {siem}: 1 discarded.\n"
    with source_status.opened_store() as engine:
        assert audit_log.newest(engine, 1)[0].details["reason"] == "a test account"
    assert call.json("siem", "rejected", siem) == []
