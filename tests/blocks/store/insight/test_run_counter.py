"""The counter works until it is stopped, and waits longer after each error."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.indexed_events import DAY_NS, NOON_NS, CollectedEvents, index_all

from blocks.errors import FirstPartyGenericError
from blocks.store.insight import run_counter
from blocks.store.insight.counted_days import count_stale_days

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]

TODAY = NOON_NS // DAY_NS
YESTERDAY_NS = NOON_NS - DAY_NS
STORED = "SELECT day, events FROM insight_days ORDER BY day"


def test_the_counter_counts_until_it_is_stopped_and_survives_errors(
    collected: CollectedEvents, engine: Engine, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    stop, pauses = threading.Event(), []
    real, failures = count_stale_days, [1, 2]

    def fail_twice(engine: Engine, limit: int) -> int:
        if failures:
            failures.pop()
            raise FirstPartyGenericError("The store did not answer.", hint="", code="store")
        return real(engine, limit)

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            stop.set()

    monkeypatch.setattr(run_counter, "count_stale_days", fail_twice)
    run_counter.run_counter(engine, stop, wait)
    retry = run_counter.RETRY_SECONDS
    assert pauses == [retry, 2 * retry, run_counter.PAUSE_SECONDS, run_counter.IDLE_SECONDS]
    assert rows(STORED) == [(TODAY - 1, 1)]
