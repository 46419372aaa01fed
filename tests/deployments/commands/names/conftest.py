"""Files of names as the command `op` lists them, in the directory in which the commands run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_calls import CommandCalls

VAULTS = [{"id": "v1", "name": "Payroll", "content_version": 1}, {"id": "v2", "name": "\x1b[2JOps", "items": 3}]
ITEMS = [{"id": "i1", "title": "Bank", "category": "LOGIN", "vault": {"id": "v1", "name": "Payroll"}}]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    monkeypatch.chdir(tmp_path)
    Path("vaults.json").write_text(json.dumps(VAULTS))
    Path("items.json").write_text(json.dumps(ITEMS))
    return CommandCalls(capsys)
