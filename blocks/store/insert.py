"""Events into the table, each once, in the order in which they came; and which of them were not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from blocks.events_api.models import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InsertedEvents:
    """Which of some events were stored now: their positions among them in the order of their ids, and those ids' ends.

    The ids are those of the table; where none was stored, they are 0.
    """

    positions: Sequence[int] = ()
    first_id: int = 0
    last_id: int = 0

    @property
    def count(self) -> int:
        return len(self.positions)

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Those of some items, one for each event, that belong to events that were stored."""
        return items if len(items) == len(self.positions) else [items[position] for position in self.positions]

    def rest(self, items: Sequence[T]) -> Sequence[T]:
        """The others: those that belong to events that were there already."""
        if len(items) == len(self.positions):
            return ()
        stored = set(self.positions)
        return [item for position, item in enumerate(items) if position not in stored]


def insert_events(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> InsertedEvents:
    """Insert those that are not there, under the stream's row lock, so that their ids rise in commit order."""
    if not events:
        return InsertedEvents()
    insert = _into_sqlite if connection.dialect.name == "sqlite" else _into_postgresql
    return insert(connection, stream_id, received_ns, events)


def _into_postgresql(
    connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]
) -> InsertedEvents:
    uuids, times, bodies = map(list, zip(*events, strict=True))
    values = {"stream": stream_id, "received": received_ns, "uuids": uuids, "times": times, "bodies": bodies}
    new = connection.exec_driver_sql(_POSTGRESQL, values).rowcount
    if not new:
        return InsertedEvents()
    # Their ids are asked for afterwards: a thousand rows RETURNING them cost six times as much.
    if new == len(events):
        ends = {"stream": stream_id, "uuids": [uuids[0], uuids[-1]]}
        first_id, last_id = connection.exec_driver_sql(_POSTGRESQL_ENDS, ends).one()
        return InsertedEvents(range(new), first_id, last_id)
    asked = {"stream": stream_id, "uuids": uuids}
    rows = connection.exec_driver_sql(_POSTGRESQL_NEW, asked).all()
    return InsertedEvents(_positions(events, [uuid for _, uuid in rows]), rows[0][0], rows[-1][0])


# %b sends the arrays in binary: as text, each body is quoted in Python, at a sixth of the speed. A scan of unnest gives
# the rows in the order of the arrays, one by one, so their ids rise in that order.
_POSTGRESQL = (
    "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) "
    "SELECT %(stream)s::int, page.uuid, page.time_ns, %(received)s::bigint, page.body "
    "FROM unnest(%(uuids)b::text[], %(times)b::bigint[], %(bodies)b::text[]) AS page (uuid, time_ns, body) "
    "ON CONFLICT (stream_id, uuid) DO NOTHING"
)
_POSTGRESQL_ENDS = (
    "SELECT min(id), max(id) FROM events WHERE stream_id = %(stream)s::int AND uuid = ANY(%(uuids)b::text[])"
)
_POSTGRESQL_NEW = (
    "SELECT id, uuid FROM events WHERE stream_id = %(stream)s::int AND uuid = ANY(%(uuids)b::text[]) "
    "AND xmin = pg_current_xact_id()::xid ORDER BY id"  # of this transaction, which has no savepoints
)


# One statement for many rows: executemany gives the interpreter's lock away and takes it back for every single row,
# and each time another busy thread of the process may keep it for 5 ms.
_ROWS = (1000, 100, 10, 1)


def _into_sqlite(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> InsertedEvents:
    before = connection.exec_driver_sql("SELECT max(id) FROM events").scalar() or 0
    new = position = 0
    for rows in _ROWS:
        while len(events) - position >= rows:
            values: list[object] = [stream_id, received_ns]
            for event in events[position : position + rows]:
                values += event
            new += connection.exec_driver_sql(_rows(rows), tuple(values)).rowcount
            position += rows
    if not new:
        return InsertedEvents()
    # Only one writes to an SQLite file at a time: what has a higher id than any had is of this page.
    first_id, last_id = connection.exec_driver_sql("SELECT min(id), max(id) FROM events WHERE id > ?", (before,)).one()
    if new == len(events):
        return InsertedEvents(range(new), first_id, last_id)
    stored = connection.exec_driver_sql("SELECT uuid FROM events WHERE id > ? ORDER BY id", (before,)).scalars()
    return InsertedEvents(_positions(events, stored), first_id, last_id)


def _positions(events: Sequence[Event], stored: Iterable[str]) -> list[int]:
    """Where the events with these uuids stand; of two with the same uuid the first one was stored."""
    first: dict[str, int] = {}
    for position, event in enumerate(events):
        first.setdefault(event.uuid, position)
    return [first[uuid] for uuid in stored]


@cache
def _rows(rows: int) -> str:
    values = ",".join(f"(?1,?{n},?{n + 1},?2,?{n + 2})" for n in range(3, 3 + 3 * rows, 3))
    return (
        "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) "  # noqa: S608 - numbers of parameters
        f"VALUES {values} ON CONFLICT (stream_id, uuid) DO NOTHING"
    )
