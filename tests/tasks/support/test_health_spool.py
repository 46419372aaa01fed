"""Health events of the time while the store did not answer: kept once in a private file, and stored later."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks import settings
from blocks.errors import FirstPartyGenericError
from blocks.health import ERROR, Condition
from blocks.store import health, sources
from tasks.support import health_spool

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

CONDITION = Condition("error", "FirstPartyGenericError", ERROR, "The store does not answer.")


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(health_spool, "_last_values", {})


def file() -> Path:
    return settings.data_dir() / f"unstored-health-{SOURCE.id}.jsonl"


def test_a_condition_is_appended_once_until_its_value_changes() -> None:
    first = health_spool.append(SOURCE.id, SOURCE.name, CONDITION)
    assert first is not None
    assert (first.source_id, first.description) == (SOURCE.id, CONDITION.description)
    assert health_spool.append(SOURCE.id, SOURCE.name, CONDITION) is None
    other = Condition("error", "FirstPartyGenericError", ERROR, "It still does not.", value="other")
    assert health_spool.append(SOURCE.id, SOURCE.name, other) is not None
    assert health_spool.append("0" * 32, "other source", CONDITION) is not None
    assert len(file().read_text().splitlines()) == 2
    assert stat.S_IMODE(file().stat().st_mode) == 0o600


def test_what_was_appended_is_stored_as_published_and_its_condition_is_open(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    health_spool.append(SOURCE.id, SOURCE.name, CONDITION)
    health_spool.flush(engine, SOURCE.id)
    assert list(health.open_conditions(engine, SOURCE.id)) == ["error"]
    assert health.unpublished(engine, SOURCE.id) == []
    assert list(settings.data_dir().glob("unstored-*")) == []
    assert health_spool.append(SOURCE.id, SOURCE.name, CONDITION) is not None, "it may begin again"


def test_without_a_file_nothing_is_done(engine: Engine) -> None:
    health_spool.flush(engine, SOURCE.id)


def test_half_a_line_of_a_killed_process_is_passed_over(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    health_spool.append(SOURCE.id, SOURCE.name, CONDITION)
    whole = file().read_text()
    file().write_text(whole[: len(whole) // 2] + "\n" + "{}\n" + whole)
    health_spool.flush(engine, SOURCE.id)
    assert list(health.open_conditions(engine, SOURCE.id)) == ["error"]


def test_a_store_that_does_not_answer_leaves_the_file(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FirstPartyGenericError("The store does not answer.")

    health_spool.append(SOURCE.id, SOURCE.name, CONDITION)
    before = file().read_text()
    monkeypatch.setattr(health, "save_published", fail)
    with pytest.raises(FirstPartyGenericError):
        health_spool.flush(engine, SOURCE.id)
    assert [path.name for path in settings.data_dir().glob("unstored-*")] == [file().name]
    assert file().read_text() == before


def test_two_processes_that_flush_store_an_event_once(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    health_spool.append(SOURCE.id, SOURCE.name, CONDITION)
    copy = file().read_text()
    health_spool.flush(engine, SOURCE.id)
    file().write_text(copy)
    health_spool.flush(engine, SOURCE.id)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM health_events").scalar() == 1


def test_a_full_file_grows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_spool, "BYTES_MAX", 100)
    for number in range(5):
        condition = Condition("error", "FirstPartyGenericError", ERROR, "It does not answer.", value=str(number))
        assert health_spool.append(SOURCE.id, SOURCE.name, condition) is not None, "it is published all the same"
    assert len(file().read_text().splitlines()) == 1
