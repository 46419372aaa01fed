"""What reconcile found at the server and not in the store: whether it was late, or missed by live collection.

Such an event is stored at once, and marked. If the stream's own cursor brings it too, by the end of the next complete
drain that begins afterwards, it was late; else live collection had missed it.
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

NAMED = 5  # how many of the missed ones a health event names; all of them are in the table

_found = table_of(LateOrMissedRow)
_streams = table_of(StreamRow)


def record_unseen(connection: Connection, stream: Row[Any], events: Sequence[Event]) -> None:
    """Mark events that were stored now, in a transaction that has written the stream's row; `stream` is that row."""
    now_ns = clock.now_ns()
    values = {"stream_id": stream.id, "found_ns": now_ns, "fence": stream.fence}
    rows = [{**values, "uuid": event.uuid, "time_ns": event.time_ns} for event in events]
    connection.execute(_found.insert(), rows)
    _count(connection, stream.id, undecided=len(rows))


def record_late(connection: Connection, stream: Row[Any], events: Iterable[Event]) -> None:
    """The stream's cursor has brought events that were there already: those of them that are marked were late."""
    uuids = [event.uuid for event in events]
    late = _decide("late").where(_found.c.stream_id == stream.id, _found.c.verdict.is_(None), _found.c.uuid.in_(uuids))
    if number := len(connection.execute(late.returning(_found.c.uuid)).all()):
        _count(connection, stream.id, undecided=-number, late=number)


def record_missed(connection: Connection, stream: Row[Any]) -> None:
    """The stream was read to its end under a claim: what was found before it began, and was not brought, was missed.

    `stream` is its row, which this transaction has written; its fence is that of the claim.
    """
    before = (_found.c.stream_id == stream.id) & _found.c.verdict.is_(None) & (_found.c.fence < stream.fence)
    asked = select(_found.c.uuid, _found.c.time_ns).where(before).order_by(_found.c.time_ns)
    rows = connection.execute(asked).all()
    if not rows:
        return
    connection.execute(_decide("missed").where(before))
    _count(connection, stream.id, undecided=-len(rows), missed=len(rows))
    health.report(connection, stream.source_id, _missed(stream.api, [(row.uuid, row.time_ns) for row in rows]))


def _decide(verdict: Literal["late", "missed"]) -> Any:
    return update(_found).values(verdict=verdict, decided_ns=clock.now_ns())


def _count(connection: Connection, stream_id: int, **more: int) -> None:
    values = {name: _streams.c[name] + number for name, number in more.items()}
    connection.execute(update(_streams).where(_streams.c.id == stream_id).values(values))


def _missed(api: str, missed: Sequence[tuple[str, int]]) -> Condition:
    named = ", ".join(
        f"{uuid} of {Instant.from_timestamp(ns, unit='nanosecond').format_iso()}" for uuid, ns in missed[:NAMED]
    )
    further = f" and {len(missed) - NAMED:,} more" if len(missed) > NAMED else ""
    s = "s" * (len(missed) != 1)
    return Condition(
        tracker_of("missed", api),
        "EventsMissed",
        WARNING,
        f"Live collection of {api} had missed {len(missed):,} event{s}: {named}{further}.",
        api,
        error_code="missed",
        hint="They are stored now. `onepassword-source backfill` reads a longer time again.",
    )
