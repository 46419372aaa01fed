"""Event times. A device with a wrong clock can set one in the future, which must not count as the present.

The newest event, silence and lag use the event's time or the time of receipt, whichever is earlier. The event's own
time is stored and forwarded unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from whenever import Instant

from blocks import clock
from blocks.config.alert_thresholds import AHEAD_NS
from blocks.health import WARNING, Condition, tracker_of
from blocks.store.engine import reading, store_errors
from blocks.store.tables import EventRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

_events = table_of(EventRow)
_streams = table_of(StreamRow)


def later_of(connection: Connection, newest_ns: int, received_ns: int) -> Any:
    """An SQL expression: the later of a stream's newest event and `newest_ns`, both capped at `received_ns`."""
    # SQLite's max() and min() of two values are greatest() and least() on PostgreSQL
    sqlite = connection.dialect.name == "sqlite"
    larger, smaller = (func.max, func.min) if sqlite else (func.greatest, func.least)
    newest_ns = min(newest_ns, received_ns)
    return larger(smaller(func.coalesce(_streams.c.newest_ns, newest_ns), received_ns), newest_ns)


def newest_until(stream_id: int, now_ns: int) -> Any:
    """An SQL expression: the newest time of a stream's events that is not after `now_ns`."""
    return select(func.max(_events.c.time_ns)).where(_events.c.stream_id == stream_id, _events.c.time_ns <= now_ns)


def count_in_future(engine: Engine, stream_id: int) -> tuple[int, int | None]:
    """How many events of a stream are dated in the future, and when the last of them was received (ns since 1970)."""
    in_future = (_events.c.stream_id == stream_id) & (_events.c.time_ns > clock.now_ns() + AHEAD_NS)
    query = select(func.count(), func.max(_events.c.received_ns)).where(in_future)
    with store_errors(), reading(engine).connect() as connection:
        number, last_ns = connection.execute(query).one()
    return number, last_ns


def future_condition(api: str, times_ns: Sequence[int], received_ns: int) -> Condition | None:
    """The condition of events that were received with these times; None if no time is in the future."""
    future_ns = [time_ns for time_ns in times_ns if time_ns > received_ns + AHEAD_NS]
    if not future_ns:
        return None
    what = "One event" if len(future_ns) == 1 else f"{len(future_ns):,} events"
    until = Instant.from_timestamp(max(future_ns), unit="nanosecond").format_iso(unit="second")
    return Condition(
        tracker_of("future", api),
        "EventsInFuture",
        WARNING,
        f"{what} of {api} had a time in the future when received, up to {until}.",
        api,
        error_code="future",
        hint="Stored and forwarded as received. Lag and silence count from the time of receipt. A device has a wrong "
        "clock, or this machine has: `onepassword-source check` compares its clock.",
    )
