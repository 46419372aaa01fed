"""Fields are enabled and disabled by name, each once, in a store that need not exist before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from blocks.store import fields
from deployments.commands.support.field_table import change_of, opened_or_created_store, set_enabled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def store_with_fields(own_directory: Path) -> Iterator[Engine]:
    with opened_or_created_store() as engine:
        fields.create(engine, ["team", "tier"])
        yield engine


def test_the_store_is_created_for_the_first_field(own_directory: Path) -> None:
    assert not (own_directory / "events.db").exists()
    with opened_or_created_store():
        pass
    assert (own_directory / "events.db").exists()


def test_each_name_is_reported_once(store_with_fields: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    set_enabled(["team", "tier", "team"], enabled=False, as_json=False)
    assert capsys.readouterr().out == "team: disabled.\ntier: disabled.\n"
    set_enabled(["team"], enabled=False, as_json=False)
    assert capsys.readouterr().out == "team: was already disabled.\n"
    set_enabled(["team"], enabled=True, as_json=False)
    assert capsys.readouterr().out == "team: enabled.\n"


def test_the_record_says_what_was_changed(store_with_fields: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    set_enabled(["tier"], enabled=False, as_json=True)
    capsys.readouterr()
    set_enabled(["team", "tier", "team"], enabled=False, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"field": "team", "enabled": False, "change": "updated"},
        {"field": "tier", "enabled": False, "change": "unchanged"},
    ]


def test_a_change_has_a_word() -> None:
    assert (change_of(True), change_of(False)) == ("updated", "unchanged")
