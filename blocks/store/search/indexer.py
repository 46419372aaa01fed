"""The indexer adds stored events to the index, behind collection, in batches of its own.

A batch is one short transaction: the rows, their values, and how far each stream is. It moves each position by
compare-and-swap, so several indexers at once are harmless, and after a kill at any statement the next one continues.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from blocks import clock
from blocks.cpu_lock import cpu_lock
from blocks.store.engine import first_rows, is_sqlite, reading, store_errors, writing
from blocks.store.forwarding.unsent_events import event_ranges
from blocks.store.search import dictionary
from blocks.store.search.days import day_of
from blocks.store.search.members import MEMBERS, IndexedMembers, Person, read_members
from blocks.store.sources import PURGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine, TextClause

BATCH = 1000  # events of one transaction: other writers wait for it on SQLite, a few hundredths of a second
SPAN = 4000  # most ids in the range of one read, which bounds it whatever plan PostgreSQL chooses
READ_BYTES = 4_000_000  # most characters of bodies in one read, unless one body has more
_MEAN = 4000  # characters of a body that a read expects
_SECOND = 10**9
_LATE_MAX = 2**31 - 1  # what the column holds: 68 years


class IndexedEvent(NamedTuple):
    """An event as the index has it."""

    id: int
    time_ns: int
    day: int
    late_s: int
    members: IndexedMembers
    values: tuple[dictionary.Value | None, ...]


@dataclass(slots=True)
class _StreamPart:
    """The next events of one stream, and the position after them."""

    stream_id: int
    api: str
    pruned: int
    after_id: int | None
    until_id: int
    events: list[IndexedEvent] = field(default_factory=list)


def index_batch(engine: Engine, size: int = BATCH) -> int | None:
    """Index up to `size` events. Returns how many, or None if every event is indexed.

    0: another indexer was faster, or only positions moved. Raises FirstPartyGenericError if the database fails.
    """
    parts = _read_parts(engine, size)
    if not parts:
        return None
    newest_days = _newest_days(parts)
    with writing(engine) as connection:
        dictionary.lock(connection)
        if _is_current(connection, parts):
            added = _insert(connection, parts, newest_days)
            for part in parts:
                _move(connection, part)
            connection.execute(_STATE, {"now": clock.now_ns()})
            return added
    return 0


def _read_parts(engine: Engine, size: int) -> list[_StreamPart]:
    with store_errors(), reading(engine).connect() as connection:
        behind = connection.execute(_BEHIND, {"purging": PURGING}).all()
    parts: list[_StreamPart] = []
    for row in behind:
        part = _StreamPart(row.id, row.api, row.pruned, row.event_id, row.link_id or 0)
        _read_events(engine, part, size)
        parts.append(part)
        size -= len(part.events)
        if size <= 0:
            break
    return parts


def _read_events(engine: Engine, part: _StreamPart, size: int) -> None:
    """Read the next events of a stream, and set `until_id` to where the events after them begin."""
    for low, high in _spans(event_ranges(engine, part.stream_id, part.after_id or 0)):
        rows, is_complete = _read_span(engine, part.stream_id, (low, high), size - len(part.events))
        with cpu_lock:
            part.events += [_indexed(part.api, *row) for row in rows]
        if len(part.events) >= size or not is_complete:
            part.until_id = part.events[-1].id
            return
        part.until_id = high


def _spans(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        for start in range(low, high, SPAN):
            yield start, min(start + SPAN, high)


def _read_span(engine: Engine, stream_id: int, span: tuple[int, int], size: int) -> tuple[list[Any], bool]:
    values = {"stream": stream_id, "low": span[0], "high": span[1], "most": size}
    with store_errors(), reading(engine).connect() as connection:
        return first_rows(connection, _EVENTS[is_sqlite(engine)], values, READ_BYTES, _MEAN)


def _indexed(api: str, event_id: int, time_ns: int, received_ns: int, body: str | bytes) -> IndexedEvent:
    late_s = min(max((received_ns - time_ns) // _SECOND, -_LATE_MAX), _LATE_MAX)
    members = read_members(api, body)
    values = [None if value is None else (kind, value) for kind, value in zip(_KINDS, members[1:-1], strict=True)]
    return IndexedEvent(event_id, time_ns, day_of(time_ns), late_s, members, tuple(values))


_KINDS = tuple(map(int, MEMBERS.values()))
_USER = int(MEMBERS["user"])


def _is_current(connection: Connection, parts: Sequence[_StreamPart]) -> bool:
    """False if another indexer moved a position, or events were pruned or purged since they were read."""
    ids = ",".join(str(part.stream_id) for part in parts)
    query = text(f"{_CURRENT} AND s.id IN ({ids})")
    rows = {row.id: (row.pruned, row.event_id) for row in connection.execute(query, {"purging": PURGING})}
    return rows == {part.stream_id: (part.pruned, part.after_id) for part in parts}


def _insert(connection: Connection, parts: Sequence[_StreamPart], newest_days: dict[dictionary.Value, int]) -> int:
    ids: dict[Any, int | None] = {**dictionary.value_ids(connection, newest_days), None: None}
    rows = [_row(part.stream_id, event, ids) for part in parts for event in part.events]
    insert = _insert_sqlite if is_sqlite(connection.engine) else _insert_postgresql
    if rows:
        insert(connection, rows)
    _save_names(connection, parts, ids)
    return len(rows)


def _row(stream_id: int, event: IndexedEvent, ids: dict[Any, int | None]) -> tuple[Any, ...]:
    numbers = [ids[value] for value in event.values]
    return (event.id, stream_id, event.time_ns, event.day, event.late_s, event.members.failed, *numbers)


def _newest_days(parts: Sequence[_StreamPart]) -> dict[dictionary.Value, int]:
    """The values of the events, each with its newest day."""
    newest: dict[Any, int] = {}
    for event in sorted((event for part in parts for event in part.events), key=lambda event: event.day):
        newest.update(dict.fromkeys(event.values, event.day))
        for user, _ in event.members.people:
            newest[_USER, user] = event.day
    newest.pop(None, None)
    return newest


def _save_names(connection: Connection, parts: Sequence[_StreamPart], ids: dict[Any, int | None]) -> None:
    newest: dict[int | None, tuple[int, Person]] = {}
    for part in parts:
        for event in part.events:
            for user, person in event.members.people:
                user_id = ids[_USER, user]
                if user_id not in newest or newest[user_id][0] <= event.time_ns:
                    newest[user_id] = event.time_ns, person
    if newest:
        rows = [
            {"user": user_id, "name": person.name, "email": person.email, "time": time_ns}
            for user_id, (time_ns, person) in newest.items()
        ]
        connection.execute(_NAME, rows)


def _move(connection: Connection, part: _StreamPart) -> None:
    values = {"stream": part.stream_id, "event": part.until_id, "number": len(part.events)}
    connection.execute(_POSITION, values)


_COLUMNS = ("event_id", "stream_id", "time_ns", "day", "late_s", "failed", *dictionary.COLUMNS)
_ROWS = (500, 50, 1)


def _insert_sqlite(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    position = 0
    for number in _ROWS:
        while len(rows) - position >= number:
            values = tuple(value for row in rows[position : position + number] for value in row)
            connection.exec_driver_sql(_sqlite(number), values)
            position += number


@cache
def _sqlite(rows: int) -> str:
    row = "(" + ",".join("?" * len(_COLUMNS)) + ")"
    return f"INSERT INTO event_index ({', '.join(_COLUMNS)}) VALUES {','.join([row] * rows)}"  # noqa: S608 - constants


def _insert_postgresql(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    columns = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    connection.exec_driver_sql(_POSTGRESQL, columns)


_TYPES = {"event_id": "bigint", "time_ns": "bigint", "failed": "boolean"}
_POSTGRESQL = (
    f"INSERT INTO event_index ({', '.join(_COLUMNS)}) SELECT * FROM unnest("  # noqa: S608 - constants
    + ", ".join(f"%({name})b::{_TYPES.get(name, 'int')}[]" for name in _COLUMNS)
    + ")"
)
_STREAMS = (
    "SELECT s.id, s.api, s.pruned, s.link_id, p.event_id FROM streams s JOIN sources o ON o.id = s.source_id "
    "LEFT JOIN index_positions p ON p.stream_id = s.id WHERE (o.deleted_ns IS NULL OR o.state <> :purging)"
)
_CURRENT = _STREAMS
# A stream without a link has only events that are older than the chain: the next event comes with a link.
_BEHIND = text(
    f"{_STREAMS} AND (s.link_id > coalesce(p.event_id, 0) "
    "OR (s.link_id IS NULL AND p.event_id IS NULL AND s.events > 0)) ORDER BY coalesce(p.event_id, 0), s.id"
)


def _events(body: str) -> TextClause:
    return text(
        f"SELECT id, time_ns, received_ns, {body} FROM events "  # noqa: S608 - a constant
        "WHERE (stream_id + 0) = :stream AND id > :low AND id <= :high ORDER BY id LIMIT :most"
    )


# As bytes on SQLite, which does not return a text that is not UTF-8.
_EVENTS = {True: _events("CAST(body AS BLOB)"), False: _events("body")}
_POSITION = text(
    "INSERT INTO index_positions (stream_id, event_id, events) VALUES (:stream, :event, :number) "
    "ON CONFLICT (stream_id) DO UPDATE "
    "SET event_id = excluded.event_id, events = index_positions.events + excluded.events"
)
_NAME = text(
    "INSERT INTO user_names (user_id, name, email, time_ns) VALUES (:user, :name, :email, :time) "
    "ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, email = excluded.email, time_ns = excluded.time_ns "
    "WHERE excluded.time_ns >= user_names.time_ns"
)
_STATE = text(
    "INSERT INTO index_state (id, indexed_ns) VALUES (1, :now) "
    "ON CONFLICT (id) DO UPDATE SET indexed_ns = excluded.indexed_ns, error = NULL, error_ns = NULL"
)
