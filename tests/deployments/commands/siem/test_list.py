"""The command `siem list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.siem_commands import apply_siem

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_the_list_has_a_header(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    titles, *lines = call("siem", "list").splitlines()
    assert titles.split() == ["SIEM", "type", "source", "state"]
    assert any(siem in line and "splunk" in line for line in lines)
