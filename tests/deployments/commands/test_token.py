"""The command `token`: a new token is checked before it replaces the old one."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import SCOPES, actions, fail, in_error, only_id, rows, token_of

from blocks.store import source_status, sources
from deployments import cli

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]


def give(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))


def test_a_new_token_is_checked_and_replaces_the_old_one(
    call: CommandCalls, applied_source: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(applied_source)
    new = api.issue_token()
    give(monkeypatch, new)
    shown = call("token", applied_source)
    assert shown.startswith(f"{applied_source}: the token was replaced with one of account ")
    assert "auditevents, itemusages, signinattempts" in shown.replace("\n", " ")
    assert token_of(applied_source) == new
    assert (in_error(applied_source), actions()) == (False, ["token"])
    assert new not in shown + call.err + str(rows("SELECT details FROM audit_log"))


def test_all_problems_of_a_token_are_reported_at_once(
    call: CommandCalls, applied_source: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.save_introspection(source_status.open_store(), only_id(), frozenset(SCOPES), "THISACCOUNT")
    give(monkeypatch, api.issue_token(["signinattempts"], account="OTHERACCOUNT"))
    lines = call("token", applied_source, code=cli.WRONG_USE).splitlines()
    assert (
        lines[0]
        == f"onepassword-source: The token was rejected; source '{applied_source}' keeps the token that it has:"
    )
    assert "  It is of account OTHERACCOUNT, but the events are of account " in lines[1]
    assert "  It lacks the scopes itemusages, auditevents; it has signinattempts." in lines[2]
    assert token_of(applied_source) == api.token
    assert "token" not in actions()


def test_a_rejected_token_does_not_replace_the_old_one(
    call: CommandCalls, applied_source: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = api.issue_token()
    api.revoke(new)
    for flags in ((), ("--unchecked",)):
        give(monkeypatch, new)
        assert "refuses the token" in call("token", applied_source, *flags, code=cli.WRONG_USE)
    give(monkeypatch, "cut off")
    assert "the token has white space in it" in call("token", applied_source, code=cli.WRONG_USE)
    give(monkeypatch, "")
    assert "There is no token on standard input." in call("token", applied_source, code=cli.WRONG_USE)
    assert token_of(applied_source) == api.token


def test_a_token_that_cannot_be_checked_is_taken_only_unchecked(
    call: CommandCalls, applied_source: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.fault("500", api="introspect")
    new = api.issue_token()
    give(monkeypatch, new)
    shown = call("token", applied_source, code=cli.IN_ERROR)
    assert "The token could not be checked, so nothing was changed." in shown
    assert "--unchecked" in shown
    assert token_of(applied_source) == api.token
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", new)
    assert call.json("token", applied_source, "--unchecked")["scopes"] == sorted(SCOPES), "what the token itself claims"
    assert "The token was not checked." in call.err
    assert token_of(applied_source) == new
