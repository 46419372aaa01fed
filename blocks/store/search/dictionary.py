"""The dictionary of the index: each value of events once, under a number that rows and indexes use in its place.

A value is personal data. `remove_events` removes it in the transaction that removes the last event with it. Everything
that adds or removes rows holds the index lock, so that no row is left with the number of a value that is gone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from blocks.store.engine import advisory_lock, is_sqlite
from blocks.store.search import days
from blocks.store.search.members import MEMBERS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult

COLUMNS = tuple(f"{member}_id" for member in MEMBERS)
_CHUNK = 500  # values in one statement

Value = tuple[int, str]
"""A kind and a value."""


class _Entry(NamedTuple):
    id: int
    day: int


def lock(connection: Connection) -> None:
    """Take the index lock until the transaction ends. Locks of streams come before it, never after."""
    advisory_lock(connection, "event_index")


def value_ids(connection: Connection, newest_days: Mapping[Value, int]) -> dict[Value, int]:
    """The numbers of these values, each with the day of its newest event; new values are added.

    The transaction has the index lock.
    """
    wanted = sorted(newest_days)
    entries = _read(connection, wanted)
    _raise_days(connection, [(entry.id, newest_days[value]) for value, entry in entries.items()], entries.values())
    missing = [(*value, newest_days[value]) for value in wanted if value not in entries]
    if missing:
        _add(connection, missing)
        entries |= _read(connection, [(kind, value) for kind, value, _ in missing])
    return {value: entry.id for value, entry in entries.items()}


def find_ids(connection: Connection, kind: Kind, values: Iterable[str]) -> list[int]:
    """The numbers of those values that some event has."""
    return sorted(entry.id for entry in _read(connection, sorted({(int(kind), value) for value in values})).values())


def remove_events(connection: Connection, event_ids: Sequence[int]) -> None:
    """Remove events from the index, and each value that no other event has. It takes the index lock."""
    lock(connection)
    removed: list[Any] = []
    for start in range(0, len(event_ids), _CHUNK):
        chunk = event_ids[start : start + _CHUNK]
        names = ", ".join(("stream_id", *COLUMNS))
        query = text(f"DELETE FROM event_index WHERE event_id IN ({_list(chunk)}) RETURNING {names}")  # noqa: S608
        removed += connection.execute(query).all()
    _subtract(connection, [row[0] for row in removed])
    for kind in Kind:
        places = [place for place, member in enumerate(MEMBERS, 1) if MEMBERS[member] == kind]
        _remove_unused(connection, kind, sorted({row[place] for row in removed for place in places} - {None}))


def _subtract(connection: Connection, stream_ids: Sequence[int]) -> None:
    query = text("UPDATE index_positions SET events = events - :number WHERE stream_id = :stream")
    for stream_id in sorted(set(stream_ids)):
        connection.execute(query, {"stream": stream_id, "number": stream_ids.count(stream_id)})


def _remove_unused(connection: Connection, kind: Kind, ids: Sequence[int]) -> None:
    """Remove those that no event has. The day of the others becomes that of their newest event."""
    for start in range(0, len(ids), _CHUNK):
        query = text(_NOT_ON_ITS_DAY[kind].format(ids=_list(ids[start : start + _CHUNK])))
        gone = connection.execute(query).all()
        if not gone:
            continue
        earlier = _earlier_days(connection, kind, [row.id for row in gone], max(row.day for row in gone))
        if earlier:
            moved = [{"id": id_, "day": day} for id_, day in earlier.items()]
            connection.execute(text("UPDATE index_values SET day = :day WHERE id = :id"), moved)
        unused = _list(row.id for row in gone if row.id not in earlier)
        connection.execute(text(f"DELETE FROM index_values WHERE id IN ({unused})"))  # noqa: S608 - numbers
        if kind == Kind.ENTITY:
            connection.execute(text(f"DELETE FROM user_names WHERE user_id IN ({unused})"))  # noqa: S608


def _earlier_days(connection: Connection, kind: Kind, ids: Sequence[int], day: int) -> dict[int, int]:
    """The newest day before their own on which an event has these values; values without one are left out.

    One query for all: a source's purge meets a hundred thousand values, each of them with every day of the store.
    """
    present = list(days.between(connection, -(2**63), day * days.DAY_NS))
    if not present:
        return {}
    query = _EARLIER_DAY[kind].format(ids=_list(ids), days=",".join(f"({one})" for one in present))
    return {id_: earlier for id_, earlier in connection.execute(text(query)) if earlier is not None}


def _columns(kind: Kind) -> list[str]:
    return [f"{member}_id" for member, its_kind in MEMBERS.items() if its_kind == kind]


def _not_on_its_day(kind: Kind) -> str:
    # LIMIT 1 keeps PostgreSQL from a join with the whole table: each value costs one look into each index.
    used = "(SELECT 1 FROM event_index e WHERE e.day = v.day AND e.{} = v.id LIMIT 1) IS NULL"
    conditions = " AND ".join(used.format(column) for column in _columns(kind))
    return f"SELECT v.id, v.day FROM index_values v WHERE v.id IN ({{ids}}) AND {conditions}"  # noqa: S608


def _earlier_day(kind: Kind) -> str:
    used = "(SELECT 1 FROM event_index e WHERE e.day = d.column1 AND e.{} = v.id LIMIT 1) IS NOT NULL"
    conditions = " OR ".join(used.format(column) for column in _columns(kind))
    return (
        "SELECT v.id, (SELECT max(d.column1) FROM (VALUES {days}) AS d "  # noqa: S608 - constants
        f"WHERE d.column1 < v.day AND ({conditions})) FROM index_values v WHERE v.id IN ({{ids}})"
    )


_NOT_ON_ITS_DAY = {kind: _not_on_its_day(kind) for kind in Kind}
_EARLIER_DAY = {kind: _earlier_day(kind) for kind in Kind}


def _list(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids)) or "NULL"


def _read(connection: Connection, values: Sequence[Value]) -> dict[Value, _Entry]:
    if not values:
        return {}
    if not is_sqlite(connection.engine):
        return _entries(connection.exec_driver_sql(_POSTGRESQL_READ, _arrays(values, ("kinds", "names"))))
    entries: dict[Value, _Entry] = {}
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        entries |= _entries(connection.exec_driver_sql(_sqlite_read(len(chunk)), _flat(chunk)))
    return entries


def _entries(result: CursorResult[Any]) -> dict[Value, _Entry]:
    return {(kind, value): _Entry(id_, day) for kind, value, id_, day in result.all()}


def _raise_days(connection: Connection, newest: Sequence[tuple[int, int]], entries: Iterable[_Entry]) -> None:
    later = [pair for pair, entry in zip(newest, entries, strict=True) if pair[1] > entry.day]
    if not later:
        return
    if is_sqlite(connection.engine):
        connection.exec_driver_sql("UPDATE index_values SET day = ?2 WHERE id = ?1", later)
    else:
        connection.exec_driver_sql(_POSTGRESQL_DAYS, _arrays(sorted(later), ("ids", "days")))


def _add(connection: Connection, rows: Sequence[tuple[int, str, int]]) -> None:
    if not is_sqlite(connection.engine):
        connection.exec_driver_sql(_POSTGRESQL_ADD, _arrays(rows, ("kinds", "names", "days")))
        return
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        connection.exec_driver_sql(_sqlite_add(len(chunk)), _flat(chunk))


def _flat(rows: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(part for row in rows for part in row)


def _arrays(rows: Sequence[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


@cache
def _sqlite_read(rows: int) -> str:
    return (
        "SELECT v.kind, v.value, v.id, v.day FROM (VALUES " + ",".join(["(?,?)"] * rows) + ") AS w "  # noqa: S608
        "CROSS JOIN index_values v ON v.kind = w.column1 AND v.value = w.column2"
    )


@cache
def _sqlite_add(rows: int) -> str:
    return "INSERT INTO index_values (kind, value, day) VALUES " + ",".join(["(?,?,?)"] * rows)  # noqa: S608


_POSTGRESQL_READ = (
    "SELECT v.kind, v.value, v.id, v.day FROM unnest(%(kinds)b::smallint[], %(names)b::text[]) AS w (kind, value) "
    "JOIN index_values v ON v.kind = w.kind AND v.value = w.value"
)
_POSTGRESQL_ADD = (
    "INSERT INTO index_values (kind, value, day) "
    "SELECT * FROM unnest(%(kinds)b::smallint[], %(names)b::text[], %(days)b::int[])"
)
_POSTGRESQL_DAYS = (
    "UPDATE index_values v SET day = w.day FROM unnest(%(ids)b::int[], %(days)b::int[]) AS w (id, day) "
    "WHERE v.id = w.id"
)
