"""How much a store grows in a day: by the events of the last week, at the average size of an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks import clock
from blocks.store import growth, hourly_counts
from blocks.store.database_size import database_size
from blocks.store.growth import growth_per_day

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

DAY_NS = 86_400 * 10**9


def count(engine: Engine, claim: StreamClaim, events: int, days_ago: float) -> None:
    with engine.begin() as connection:
        hourly_counts.increment(connection, claim.stream_id, [clock.now_ns() - int(days_ago * DAY_NS)] * events)


def test_an_empty_store_does_not_grow(engine: Engine) -> None:
    assert growth_per_day(engine) == 0


def test_the_events_of_the_last_week_count_at_the_size_of_this_stores_events(
    engine: Engine, claim: StreamClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(engine, claim, 7_000, 1)
    count(engine, claim, 3_000, 30)
    size = database_size(engine).size
    assert abs(growth_per_day(engine) - size / 10_000 * 1_000) <= size / 100
    monkeypatch.setattr(growth, "ENOUGH", 10**9)
    assert growth_per_day(engine) == 1_000 * growth.EVENT_BYTES
