"""The command `siem run`: another run, and Ctrl-C."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from support.command_calls import CommandCalls, write_document
from support.siem_commands import EVENTS, apply_siem, apply_source, siem_document
from support.terminal import CTRL_C, in_terminal

from blocks import clock
from blocks.store import source_status
from blocks.store.forwarding import forward_pairs, positions
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect


def test_what_another_run_forwards_is_exit_code_3(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    engine = source_status.open_store()
    with patch("blocks.clock.now_ns", return_value=clock.now_ns()):  # streams of another second are named apart
        for view in positions.of_pair(engine, forward_pairs.find_all(engine, siem)[0].id):
            assert positions.acquire(engine, view, "run-of-another")
    engine.dispose()
    found = call.json("siem", "run", siem, code=cli.SKIPPED)[0]
    assert (found["state"], found["in_error"]) == ("Skipped", False)
    assert found["message"].startswith("sign-in, itemUsage, audit: flow run run-of-another on ")
    assert "is forwarding it, since 20" in found["message"]
    assert "Skipped: Skipped" not in call("siem", "run", siem, code=cli.SKIPPED)
    assert splunk.arrivals.events == 0


@pytest.mark.torture
def test_ctrl_c_ends_it_for_all_sources_and_what_was_not_sent_waits(
    call: CommandCalls, source: str, splunk: Receiver, api: SandboxProcess
) -> None:
    other = f"{source} 2"
    apply_source(call, other, api)
    write_document("siem.json", siem_document("soc [/x]", splunk, source, other))
    call("apply", "siem.json")
    splunk.behave("answer", None, status=503)
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-m", "deployments.cli", "siem", "run", "soc [/x]"]
    code, shown = in_terminal(command, [("retrying", CTRL_C)], env)
    assert code == cli.INTERRUPTED
    assert f"soc [/x]: 0 sent, {3 * EVENTS} waiting" in shown
    assert shown.count("Stopped:") == 1
    assert other not in shown
    assert "Traceback" not in shown
    splunk.clear()
    call("siem", "run", "soc [/x]")
    assert splunk.arrived().total() == 3 * EVENTS
