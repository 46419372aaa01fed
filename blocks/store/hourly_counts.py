"""The number of a stream's events in each hour, stored in a table of its own: to count ten million takes seconds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import delete

from blocks.store.tables import HourlyCountRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

HOUR_NS = 3600 * 10**9

_hours = table_of(HourlyCountRow)


def increment(connection: Connection, stream_id: int, times_ns: Iterable[int]) -> None:
    """Add events of these times (nanoseconds since 1970), which were stored."""
    _change(connection, stream_id, Counter([time_ns // HOUR_NS for time_ns in times_ns]))


def decrement(connection: Connection, stream_id: int, times_ns: Iterable[int]) -> None:
    """Subtract events of these times (nanoseconds since 1970), which were removed."""
    removed = Counter([time_ns // HOUR_NS for time_ns in times_ns])
    _change(connection, stream_id, {hour: -events for hour, events in removed.items()})
    connection.execute(delete(_hours).where(_hours.c.stream_id == stream_id, _hours.c.events == 0))


def _change(connection: Connection, stream_id: int, by_hour: dict[int, int]) -> None:
    sqlite = connection.dialect.name == "sqlite"
    hours, events = sorted(by_hour), [by_hour[hour] for hour in sorted(by_hour)]
    if sqlite:
        rows = [(stream_id, *count) for count in zip(hours, events, strict=True)]
        connection.exec_driver_sql(f"INSERT INTO hourly_counts (stream_id, hour, events) VALUES (?, ?, ?) {_ADD}", rows)  # noqa: S608
    else:
        connection.exec_driver_sql(
            "INSERT INTO hourly_counts (stream_id, hour, events) "  # noqa: S608 - a constant
            f"SELECT %(stream)s::int, * FROM unnest(%(hours)b::bigint[], %(events)b::bigint[]) {_ADD}",
            {"stream": stream_id, "hours": hours, "events": events},
        )


_ADD = "ON CONFLICT (stream_id, hour) DO UPDATE SET events = hourly_counts.events + excluded.events"
