"""The command `delete`: a purge is confirmed by the name, and may come later."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import actions, apply, fill, rows
from support.terminal import in_terminal

from deployments import cli

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]

COMMAND = [sys.executable, "-m", "deployments.cli"]


def test_a_purge_is_confirmed_by_typing_the_name(
    call: CommandCalls, applied_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(applied_source)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert "needs a confirmation. Without a terminal, add --yes." in call(
        "delete", applied_source, "--purge", code=cli.WRONG_USE
    )
    code, shown = in_terminal(
        [*COMMAND, "delete", applied_source, "--purge"], [("Type its name to continue: ", "other\n")]
    )
    assert (code, "Nothing was removed." in shown) == (cli.WRONG_USE, True)
    assert call("events", applied_source, "--format", "ndjson").count("\n") == 30
    assert call("delete", applied_source, "--purge", "--yes").startswith(
        f"{applied_source}: purged. 30 events were removed"
    )
    assert (call.json("list"), rows("SELECT count(*) FROM events")) == ([], [(0,)])
    assert actions() == ["delete", "purge", "purged"]


def test_a_deleted_source_can_be_purged_later(call: CommandCalls, applied_source: str, api: SandboxProcess) -> None:
    fill(applied_source)
    call("delete", applied_source)
    answer = call.json("delete", applied_source, "--purge", "--yes")
    assert [answer["purged"]["apis"][one]["events"] for one in ("sign-in", "itemUsage", "audit")] == [10, 10, 10]
    assert apply(call, applied_source, api).startswith(f"{applied_source}: created")
