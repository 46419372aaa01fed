"""`move`: what a person sees, and when it refuses to begin."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from support import backups
from support.command_calls import CommandCalls
from support.json_schemas import require_schema
from support.kept_store import fill

from blocks.store.engine import open_engine
from deployments import cli
from deployments.prefect_api import file_lock, restore_marker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    return CommandCalls(capsys)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in a data directory of its own, where Prefect was never used."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    fill(url, tmp_path / "unpacked.db")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    return url


def test_it_says_what_was_copied_and_what_to_set(call: CommandCalls, store: str, target_url: str) -> None:
    shown = call("move", "--to", target_url)
    assert "Copied" in shown
    assert "Sound: Example" in shown
    assert "ONEPASSWORD_SOURCE_DATABASE_URL=" in shown
    assert "Rename it" in call.err
    before, after = open_engine(store), open_engine(target_url)
    assert backups.rows(after) == backups.rows(before)
    for engine in (before, after):
        engine.dispose()


def test_the_url_can_be_piped_in(call: CommandCalls, target_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(target_url + "\n"))
    found = call.json("move", "--to", "-")
    require_schema("move", found)
    assert found["sound"]
    assert found["events"] > 0
    assert found["continued"] == 0
    assert {one["sound"] for one in found["sources"]} == {True}


def test_while_up_runs_it_refuses(call: CommandCalls, tmp_path: Path, target_url: str) -> None:
    (tmp_path / "data").mkdir(exist_ok=True)
    with file_lock.hold(tmp_path / "data" / "up.lock"):
        assert "`up` is running" in call("move", "--to", target_url, code=cli.IN_ERROR)


def test_during_an_unfinished_restore_it_refuses(call: CommandCalls, target_url: str) -> None:
    restore_marker.write("ab")
    assert "was interrupted" in call("move", "--to", target_url, code=cli.IN_ERROR)


def test_its_own_store_is_no_target(call: CommandCalls, store: str) -> None:
    assert "the store itself" in call("move", "--to", store, code=cli.WRONG_USE)
