"""The commands `siem pause` and `siem resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.siem_commands import EVENTS, apply_siem, siem_status

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_pause_and_resume(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    assert call("siem", "pause", siem) == f"{source} to {siem}: paused.\n"
    assert call("siem", "pause", siem) == f"{source} to {siem}: was already paused.\n"
    assert call.json("siem", "run", siem)[0]["state"] == "Skipped"
    assert siem_status(call, siem)["state"] == "paused"
    assert splunk.arrivals.events == 0
    assert call("siem", "resume", siem) == f"{source} to {siem}: resumed.\n"
    assert call.json("siem", "run", siem)[0]["state"] == "Forwarded"
    assert splunk.arrivals.events == 3 * EVENTS
