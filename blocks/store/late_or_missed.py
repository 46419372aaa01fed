"""Decide whether events that reconcile found on the server and not in the store were late or missed.

Such an event is stored at once, and marked. If the stream's own cursor returns it too, by the end of the next complete
drain that begins afterwards, it was late. Otherwise live collection missed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select, update
from whenever import Instant

from blocks import clock
from blocks.health import WARNING, Condition, tracker_of
from blocks.store import health
from blocks.store.tables import LateOrMissedRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

    from blocks.events_api.models import Event

NAMED = 5  # the most missed events in a health event; all of them are in the table

_marked = table_of(LateOrMissedRow)
_streams = table_of(StreamRow)


def record_unseen(connection: Connection, stream: Row[Any], events: Sequence[Event]) -> None:
    """Mark events that were just stored. `stream` is the stream's row, which this transaction has written."""
    now_ns = clock.now_ns()
    values = {"stream_id": stream.id, "found_ns": now_ns, "fence": stream.fence}
    rows = [{**values, "uuid": event.uuid, "time_ns": event.time_ns} for event in events]
    connection.execute(_marked.insert(), rows)
    _increment(connection, stream.id, undecided=len(rows))


def record_late(connection: Connection, stream: Row[Any], events: Iterable[Event]) -> None:
    """The stream's cursor returned events that were stored already: the marked ones among them were late."""
    uuids = [event.uuid for event in events]
    late = _decide("late").where(
        _marked.c.stream_id == stream.id, _marked.c.verdict.is_(None), _marked.c.uuid.in_(uuids)
    )
    if number := len(connection.execute(late.returning(_marked.c.uuid)).all()):
        _increment(connection, stream.id, undecided=-number, late=number)


def record_missed(connection: Connection, stream: Row[Any]) -> None:
    """The stream was read to its end under a claim: events marked before it, and not returned since, were missed.

    `stream` is its row, which this transaction has written, with the fence of the claim.
    """
    overdue = (_marked.c.stream_id == stream.id) & _marked.c.verdict.is_(None) & (_marked.c.fence < stream.fence)
    query = select(_marked.c.uuid, _marked.c.time_ns).where(overdue).order_by(_marked.c.time_ns)
    rows = connection.execute(query).all()
    if not rows:
        return
    connection.execute(_decide("missed").where(overdue))
    _increment(connection, stream.id, undecided=-len(rows), missed=len(rows))
    health.report(connection, stream.source_id, _missed(stream.api, [(row.uuid, row.time_ns) for row in rows]))


def _decide(verdict: Literal["late", "missed"]) -> Any:
    return update(_marked).values(verdict=verdict, decided_ns=clock.now_ns())


def _increment(connection: Connection, stream_id: int, **increments: int) -> None:
    values = {name: _streams.c[name] + number for name, number in increments.items()}
    connection.execute(update(_streams).where(_streams.c.id == stream_id).values(values))


def _missed(api: str, missed: Sequence[tuple[str, int]]) -> Condition:
    listed = ", ".join(
        f"{uuid} of {Instant.from_timestamp(ns, unit='nanosecond').format_iso()}" for uuid, ns in missed[:NAMED]
    )
    further = f" and {len(missed) - NAMED:,} more" if len(missed) > NAMED else ""
    s = "s" * (len(missed) != 1)
    return Condition(
        tracker_of("missed", api),
        "EventsMissed",
        WARNING,
        f"Live collection of {api} had missed {len(missed):,} event{s}: {listed}{further}.",
        api,
        error_code="missed",
        hint="They are stored now. To read a longer time again, use `onepassword-source backfill`.",
    )
