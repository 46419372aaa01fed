"""The command `siem replay`: what was received since a time, and never twice by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.siem_commands import apply_siem

from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_replay_sends_again_what_was_received_since(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    call("siem", "run", siem)
    assert call("siem", "replay", siem, "--from", "1h", "--yes") == f"{source} to {siem}: 90 events are sent again.\n"
    call("siem", "run", siem)
    assert set(splunk.arrivals.counts().values()) == {2}
    assert "Nothing says which events to send again." in call("siem", "replay", siem, code=cli.WRONG_USE)


def test_sent_events_are_not_sent_again_without_a_confirmation(
    call: CommandCalls, source: str, splunk: Receiver
) -> None:
    siem = apply_siem(call, splunk, source)
    call("siem", "run", siem)
    message = call("siem", "replay", siem, "--from", "1h", code=cli.WRONG_USE)
    assert f"90 events were sent to {siem} already, and would be sent again. Nothing was done." in message
    assert "--yes" in message
    call("siem", "run", siem)
    assert set(splunk.arrivals.counts().values()) == {1}
    (again,) = call.json("siem", "replay", siem, "--from", "1h", "--yes")
    assert (again["source"], again["siem"], again["sent_again"]) == (source, siem, 90)
