"""Names of vaults, items, users and groups, imported by a person: 1Password's events hold their ids alone.

Names are personal data. They have a table of their own, are optional, can be removed, and go to a SIEM only if its
block has `with_names`. The audit log records how many were changed, never which.

The names of users come from events themselves (see `search`). Where a user has both, that of the newest event counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, Column, MetaData, String, Table, delete, select

from blocks import clock
from blocks.config.name_file import NamedObject
from blocks.store import audit_log
from blocks.store.engine import advisory_lock, reading, store_errors, writing
from blocks.store.on_conflict import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine

T = TypeVar("T")
BATCH = 500  # values of one statement
EVERY_SOURCE = ""
"""The source of an audit record that is about all sources."""

# Not the table of `tables`: the commands start without SQLModel (0.5 s).
_names = Table(
    "names",
    MetaData(),
    Column("uuid", String, primary_key=True),
    *(Column(name, String) for name in ("kind", "name", "vault_uuid", "email")),
    Column("imported_ns", BigInteger),
)


class ImportCounts(NamedTuple):
    """What an import did: names that were new, names that changed, and names that were there already."""

    added: int
    changed: int
    kept: int


class StoredName(NamedTuple):
    """An object and its imported name. `imported_ns` is when the file was read last, in ns since 1970."""

    object: NamedObject
    imported_ns: int


def save(engine: Engine, objects: Sequence[NamedObject]) -> ImportCounts:
    """Store names, in one transaction. A name that another import stored under the same id is replaced."""
    with writing(engine) as connection:
        advisory_lock(connection, "names")
        before = {one.uuid: one for part in _parts(objects) for one in _rows_of(connection, part)}
        added = sum(one.uuid not in before for one in objects)
        changed = sum(one.uuid in before and before[one.uuid] != one for one in objects)
        now_ns = clock.now_ns()
        rows = [{**one._asdict(), "imported_ns": now_ns} for one in objects]
        for part in _parts(rows):
            connection.execute(Upsert(_names), part)
        counts = ImportCounts(added, changed, len(objects) - added - changed)
        if counts.added or counts.changed:
            audit_log.record(connection, "names import", EVERY_SOURCE, EVERY_SOURCE, **counts._asdict())
    return counts


def remove(engine: Engine, uuids: Iterable[str] | None = None) -> int:
    """Remove the names of these ids, or all names. Returns how many there were."""
    removed = 0
    with writing(engine) as connection:
        advisory_lock(connection, "names")
        for condition in _conditions(uuids):
            removed += connection.execute(delete(_names).where(*condition)).rowcount
        if removed:
            audit_log.record(connection, "names remove", EVERY_SOURCE, EVERY_SOURCE, removed=removed)
    return removed


def matching(engine: Engine, text: str = "") -> list[StoredName]:
    """The imported names by kind and name; with `text`, those that have it in their id, kind, name or address."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(select(_names)).mappings()
        found = [StoredName(_object(row), row["imported_ns"]) for row in rows]
    sought = text.casefold()
    # Sorted and compared here, because the databases have different rules for letters.
    matches = [one for one in found if any(sought in (member or "").casefold() for member in one.object)]
    return sorted(matches, key=lambda one: (one.object.kind, one.object.name.casefold(), one.object.uuid))


def name_by_uuid(engine: Engine, uuids: Iterable[str] | None = None) -> dict[str, str]:
    """The imported names of these ids, or all of them."""
    query = select(_names.c.uuid, _names.c.name)
    with store_errors(), reading(engine).connect() as connection:
        found = [connection.execute(query.where(*condition)) for condition in _conditions(uuids)]
        return {uuid: name for rows in found for uuid, name in rows}


def _conditions(uuids: Iterable[str] | None) -> Iterable[tuple[ColumnElement[bool], ...]]:
    """The conditions of the statements that find these ids, or the one statement that finds all."""
    return [()] if uuids is None else [(_names.c.uuid.in_(part),) for part in _parts(list(dict.fromkeys(uuids)))]


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + BATCH] for start in range(0, len(values), BATCH))


def _rows_of(connection: Connection, objects: Iterable[NamedObject]) -> list[NamedObject]:
    query = select(_names).where(_names.c.uuid.in_([one.uuid for one in objects]))
    return [_object(row) for row in connection.execute(query).mappings()]


def _object(row: Mapping[Any, Any]) -> NamedObject:
    return NamedObject(*(row[name] for name in NamedObject._fields))
