"""`actions`, as a person types it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.terminal import shown_on_terminal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    return CommandCalls(capsys)


def test_actions_are_found_by_code_or_by_word(call: CommandCalls, tmp_path: Path) -> None:
    shown = call("actions", "uva").splitlines()
    assert shown[:2] == ["audit", "  uva  a person's access to a vault"]
    assert shown[2].split(maxsplit=1) == ["grant", "gave a person access to a vault"]
    assert len(shown) == 5
    assert "satoken" in call("actions", "SERVICE ACCOUNT TOKEN")
    assert "(?)" in call("actions", "uisas")
    assert "does not publish" in call.err
    assert not list(tmp_path.iterdir())


def test_nothing_found_is_no_error(call: CommandCalls) -> None:
    assert call("actions", "\x1b[2Jzzz") == ""
    assert "No documented code matches" in call.err
    assert "\x1b" not in call.err
    assert call.json("actions", "zzz") == []


def test_json_has_the_names_of_events(call: CommandCalls) -> None:
    found = {(one["api"], one["action"], one["type"]): one for one in call.json("actions")}
    assert found["audit", "grant", "uva"]["words"] == "gave a person access to a vault"
    assert found["sign-in", "success", "mfa_ok"]["certain"] is True
    assert found["itemUsage", "fill", None]["words"] == "filled in an item"
    assert {one["certain"] for one in found.values()} == {True, False}


@pytest.mark.parametrize("columns", [60, 80])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    code, shown = shown_on_terminal(["actions"], columns)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]
    assert code == 0
    assert max(map(len, lines)) <= columns
    assert "revoked a service account token" in " ".join(" ".join(lines).split())
