"""The command `names remove` is confirmed, and never guesses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_calls import CommandCalls

from deployments import cli

VAULTS = [{"id": "v1", "name": "Payroll", "content_version": 1}, {"id": "v2", "name": "\x1b[2JOps", "items": 3}]
ITEMS = [{"id": "i1", "title": "Bank", "category": "LOGIN", "vault": {"id": "v1", "name": "Payroll"}}]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    monkeypatch.chdir(tmp_path)
    Path("vaults.json").write_text(json.dumps(VAULTS))
    Path("items.json").write_text(json.dumps(ITEMS))
    return CommandCalls(capsys)


def test_removing_is_confirmed_and_never_a_guess(call: CommandCalls) -> None:
    call("names", "import", "vaults.json")
    assert "Give either --all or the ids" in call("names", "remove", code=cli.WRONG_USE)
    assert "Give either --all or the ids" in call("names", "remove", "v1", "--all", code=cli.WRONG_USE)
    assert "Nothing was removed" in call("names", "remove", "--all", code=cli.WRONG_USE)
    assert len(call.json("names", "list")) == 2
