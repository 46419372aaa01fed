"""The days with events, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from support.indexed_events import DAY_NS

from blocks.store.search import days

if TYPE_CHECKING:
    from sqlalchemy import Engine

FIRST, LAST = -(2**63), 2**63 - 1


def test_the_days_between_two_times(engine: Engine) -> None:
    times = [-3 * DAY_NS - 1, -1, 0, 1, DAY_NS - 1, DAY_NS, *(n * DAY_NS + 7 for n in range(100, 300)), LAST]
    with engine.begin() as connection:
        row = "INSERT INTO event_index (event_id, stream_id, time_ns, day, late_s) VALUES (:id, 1, :time, 0, 0)"
        connection.execute(text(row), [{"id": number, "time": time_ns} for number, time_ns in enumerate(times)])
        assert list(days.between(connection, FIRST, 50 * DAY_NS)) == [1, 0, -1, -4]
        assert list(days.between(connection, 0, DAY_NS)) == [0]
        assert list(days.between(connection, 105 * DAY_NS, 108 * DAY_NS)) == [107, 106, 105]
        assert list(days.between(connection, 108 * DAY_NS + 8, 109 * DAY_NS)) == []
        assert list(days.between(connection, 0, LAST)) == [*reversed(range(100, 300)), 1, 0]
    assert [days.day_of(time_ns) for time_ns in (-1, 0, DAY_NS)] == [-1, 0, 1]
