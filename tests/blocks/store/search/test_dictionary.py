"""Values have one number each, with the day of their newest event, until their last event goes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.at_once import Halt
from support.indexed_events import DAY_NS, NOON_NS, CollectedEvents, index_all, strings

from blocks.store.search import dictionary, indexer
from blocks.store.search.members import Kind

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAY = NOON_NS // DAY_NS


def days_of(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT value, day FROM index_values"))
        return {row.value: row.day for row in rows}


@pytest.mark.parametrize("number", [1, 500, 501, 1300])
def test_each_value_has_one_number(engine: Engine, number: int) -> None:
    values = {(int(Kind.IP), f"192.0.2.{n}"): DAY for n in range(number)}
    with engine.begin() as connection:
        first = dictionary.value_ids(connection, values)
        again = dictionary.value_ids(connection, {**values, (int(Kind.ENTITY), "192.0.2.0"): DAY})
        assert len(set(again.values())) == number + 1, "another kind is another value"
        assert {value: again[value] for value in values} == first
        assert dictionary.find_ids(connection, Kind.IP, ["192.0.2.0", "nowhere"]) == [first[int(Kind.IP), "192.0.2.0"]]
        assert dictionary.find_ids(connection, Kind.OS, []) == []


def test_the_day_of_a_value_only_rises(engine: Engine) -> None:
    for day in (5, 9, 7):
        with engine.begin() as connection:
            dictionary.value_ids(connection, {(int(Kind.IP), "a"): day, (int(Kind.IP), "b"): -day})
    assert days_of(engine) == {"a": 9, "b": -5}


def test_the_day_of_a_value_falls_to_that_of_its_newest_event(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    for age in (0, 3, 7):
        collected.audit(f"A{age}", NOON_NS - age * DAY_NS)
    index_all(engine)
    for uuid, day in (("A0", DAY - 3), ("A3", DAY - 7)):
        with engine.begin() as connection:
            event_id = connection.execute(text("SELECT id FROM events WHERE uuid = :uuid"), {"uuid": uuid}).scalar_one()
            dictionary.remove_events(connection, [event_id])
        assert set(days_of(engine).values()) == {day}


def test_events_that_are_not_indexed_are_removed_without_effect(engine: Engine) -> None:
    CollectedEvents(engine).audit("A")
    index_all(engine)
    before = strings(engine)
    with engine.begin() as connection:
        dictionary.remove_events(connection, [])
        dictionary.remove_events(connection, [10**9, *range(2000, 3500)])
    assert strings(engine) == before


def test_a_value_that_a_batch_takes_just_then_is_not_removed(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = engines
    collected = CollectedEvents(first)
    collected.audit("A")
    index_all(first)
    collected.audit("B", NOON_NS + 1)
    halt = Halt(indexer._insert_sqlite if first.dialect.name == "sqlite" else indexer._insert_postgresql)
    monkeypatch.setattr(indexer, f"_insert_{first.dialect.name}", halt)
    halt.overtaken(partial(indexer.index_batch, first), by=partial(_remove, second, "A"))
    with first.connect() as connection:
        query = "SELECT count(*) FROM event_index i JOIN index_values v ON v.id = i.user_id WHERE v.value = 'ANA'"
        assert connection.execute(text(query)).scalar() == 1


def _remove(engine: Engine, uuid: str) -> None:
    with engine.begin() as connection:
        event_id = connection.execute(text("SELECT id FROM events WHERE uuid = :uuid"), {"uuid": uuid}).scalar_one()
        dictionary.remove_events(connection, [event_id])
