"""Insert events, each once and in the order of their page, and return which of them are new."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from blocks.events_api.models import Event

T = TypeVar("T")

_ESCAPES = re.compile(
    r"\\\\"  # an escaped backslash: the text after it is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<illegible>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


@dataclass(frozen=True, slots=True)
class InsertedEvents:
    """The events of a page that were stored now: their positions in the page, in the order of their ids.

    `first_id` and `last_id` are the lowest and highest of their ids in the table, both 0 if no event was stored.
    """

    positions: Sequence[int] = ()
    first_id: int = 0
    last_id: int = 0

    @property
    def count(self) -> int:
        return len(self.positions)

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Those of `items`, which has one item per event of the page, whose events were stored."""
        return items if len(items) == len(self.positions) else [items[position] for position in self.positions]

    def rest(self, items: Sequence[T]) -> Sequence[T]:
        """Those of `items` whose events were stored already."""
        if len(items) == len(self.positions):
            return ()
        stored = set(self.positions)
        return [item for position, item in enumerate(items) if position not in stored]


def legible_body(body: str) -> str | None:
    """A copy of a JSON body for the views, without the escapes that a database cannot decode; None if there are none.

    A NUL escape truncates a value on SQLite and makes a whole query fail on PostgreSQL. A lone surrogate makes a query
    fail on both. Both are legal JSON, and 1Password's clients send what users type. The body is stored unchanged;
    beside it stands the copy, with U+FFFD in place of these escapes.
    """
    if "\\u0000" not in body and "\\ud" not in body and "\\uD" not in body:
        return None
    copy = _ESCAPES.sub(lambda match: r"\ufffd" if match["illegible"] else match[0], body)
    return None if copy == body else copy


def insert_events(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> InsertedEvents:
    """Insert the events that are new, under the stream's row lock, so that their ids rise in commit order."""
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
    # A second query reads their ids: RETURNING them for a thousand rows costs six times as much.
    if new == len(events):
        ends = {"stream": stream_id, "uuids": [uuids[0], uuids[-1]]}
        first_id, last_id = connection.exec_driver_sql(_POSTGRESQL_ENDS, ends).one()
        return InsertedEvents(range(new), first_id, last_id)
    parameters = {"stream": stream_id, "uuids": uuids}
    rows = connection.exec_driver_sql(_POSTGRESQL_NEW, parameters).all()
    return InsertedEvents(_positions(events, [uuid for _, uuid in rows]), rows[0][0], rows[-1][0])


# %b sends the arrays in binary: as text, each body is quoted in Python, at a sixth of the speed. A scan of unnest
# returns the rows in the order of the arrays, so their ids rise in that order.
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
    "AND xmin = pg_current_xact_id()::xid ORDER BY id"  # inserted by this transaction, which has no savepoints
)


# One statement inserts many rows: executemany releases and reacquires the interpreter's lock for every row, and each
# time another busy thread of the process can hold it for 5 ms.
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
    # SQLite has one writer at a time: every id above the former highest belongs to this page.
    first_id, last_id = connection.exec_driver_sql("SELECT min(id), max(id) FROM events WHERE id > ?", (before,)).one()
    if new == len(events):
        return InsertedEvents(range(new), first_id, last_id)
    stored = connection.exec_driver_sql("SELECT uuid FROM events WHERE id > ? ORDER BY id", (before,)).scalars()
    return InsertedEvents(_positions(events, stored), first_id, last_id)


def _positions(events: Sequence[Event], stored: Iterable[str]) -> list[int]:
    """The positions of the events with these uuids. Of two events with the same uuid, the first was stored."""
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
