"""The command `siem remove`: the secret and the deployment go, the rest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.command_calls import CommandCalls
from support.siem_commands import EVENTS, apply_siem, siem_blocks, siem_deployments

from blocks.store import source_status
from deployments import cli

if TYPE_CHECKING:
    from receivers.server import Receiver


pytestmark = pytest.mark.prefect


def test_remove_takes_the_secret_and_the_deployment(call: CommandCalls, source: str, splunk: Receiver) -> None:
    siem = apply_siem(call, splunk, source)
    assert siem_blocks(siem) == ["1Password to Splunk"]
    assert "In a script, use --yes." in call("siem", "remove", siem, code=cli.WRONG_USE)
    assert call("siem", "remove", siem, "--yes") == f"{source} to {siem}: removed, with its secrets.\n"
    assert (siem_blocks(siem), siem_deployments(siem)) == ([], [])
    assert "There is no SIEM named" in call("siem", "status", siem, code=cli.WRONG_USE)
    with source_status.opened_store() as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM events")) == 3 * EVENTS
