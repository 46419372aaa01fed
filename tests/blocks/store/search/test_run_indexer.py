"""The indexer runs until it is stopped, makes room for others, and remembers what went wrong."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.indexed_events import NOON_NS, CollectedEvents, indexed

from blocks.errors import FirstPartyGenericError
from blocks.store.engine import open_engine
from blocks.store.search import run_indexer as module
from blocks.store.search.indexer import BATCH
from blocks.store.search.run_indexer import (
    IDLE_SECONDS,
    POLITE_BATCH,
    POLITE_SECONDS,
    QUIET_SECONDS,
    RETRY_SECONDS,
    run_indexer,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine


class Waits:
    """Waits for nothing, acts before the first waits, and stops the indexer after the last."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.stop = threading.Event()
        self.seconds: list[float] = []
        self._acts = list(acts)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self._acts:
            self._acts.pop(0)()
        else:
            self.stop.set()


def test_new_events_are_indexed_until_it_is_stopped(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    waits = Waits(lambda: collected.audit("A"), lambda: collected.audit("B"))
    run_indexer(engine, waits.stop, waits)
    assert waits.seconds[0] == IDLE_SECONDS
    assert [row["uuid"] for row in indexed(engine)] == ["A", "B"]


def test_what_is_not_indexed_is_said(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    collected.audit("A")
    assert status(engine).words == "1 event is not indexed yet, so no search finds it."
    collected.audit("B")
    assert status(engine).words == "2 events are not indexed yet, so no search finds them."


def test_a_complete_index_has_nothing_to_say(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    assert (status(engine).words, status(engine).indexed_ns) == ("", None)
    collected.audit("A")
    waits = Waits()
    run_indexer(engine, waits.stop, waits)
    assert status(engine).words == ""
    assert status(engine).indexed_ns is not None


def test_an_error_is_remembered_until_it_is_over(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    CollectedEvents(engine).audit("A")
    real, seen = module.index_batch, []

    def fail(*_: object) -> int:
        raise FirstPartyGenericError("The store did not answer: disk full.", hint="Free some space.", code="store")

    def look() -> None:
        seen.append(status(engine).words)

    def mend() -> None:
        look()
        monkeypatch.setattr(module, "index_batch", real)

    monkeypatch.setattr(module, "index_batch", fail)
    waits = Waits(look, mend)
    run_indexer(engine, waits.stop, waits)
    assert waits.seconds[:2] == [RETRY_SECONDS, 2 * RETRY_SECONDS]
    assert seen[0].startswith("The search index stopped: The store did not answer: disk full.")
    assert seen[0].endswith("1 event is not indexed yet, so no search finds it.")
    assert status(engine).words == ""


def test_an_error_that_cannot_be_stored_stops_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FirstPartyGenericError("The store did not answer.", hint="", code="store")

    monkeypatch.setattr(module, "index_batch", fail)
    monkeypatch.setattr(module, "writing", fail)
    waits = Waits(lambda: None)
    run_indexer(engine, waits.stop, waits)
    assert waits.seconds == [RETRY_SECONDS, 2 * RETRY_SECONDS]


def test_on_sqlite_it_makes_room_while_another_process_writes(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not store_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has many writers")
    engine, other = open_engine(store_url), open_engine(store_url)
    collected = CollectedEvents(other)
    pauses = module._Pauses(engine)
    assert (pauses.next_batch(), pauses.after_batch(0.01)) == (POLITE_BATCH, POLITE_SECONDS), "not known at the start"
    monkeypatch.setattr(pauses, "_busy_until", 0.0)
    assert (pauses.next_batch(), pauses.after_batch(9)) == (BATCH, QUIET_SECONDS)
    collected.audit("A", NOON_NS)
    assert (pauses.next_batch(), pauses.after_batch(0.01)) == (POLITE_BATCH, POLITE_SECONDS)
    assert pauses.after_batch(9) == 9, "at least as long as the batch"
    monkeypatch.setattr(pauses, "_busy_until", 0.0)
    module.index_batch(engine)
    assert pauses.next_batch() == BATCH, "its own transactions do not count"
    engine.dispose()
    other.dispose()


def test_on_postgresql_others_get_half_of_the_time(store_url: str) -> None:
    if store_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    engine = open_engine(store_url)
    pauses = module._Pauses(engine)
    assert (pauses.next_batch(), pauses.after_batch(3)) == (BATCH, 3)
    engine.dispose()
