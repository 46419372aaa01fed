"""What a person does with a source as a whole: restart, stop, start, rename, delete, purge. Each leaves a record.

A record is written in the transaction of what it tells of. What takes more than one transaction (purge, and what is
done on the Prefect server) can be killed at any instruction, and goes on when it is called again.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, tuple_, update
from sqlmodel import SQLModel
from whenever import Instant

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, health, streams
from blocks.store.engine import is_sqlite, reading, store_errors, writing
from blocks.store.forwarding import positions
from blocks.store.sources import PURGE, PURGING
from blocks.store.tables import (
    AuditLogRow,
    EventRow,
    PrunedEventRow,
    QuarantinedItemRow,
    SourceRow,
    StreamRow,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Table

BATCH = 1000  # rows of one transaction of a purge: a few hundredths of a second, for which others wait
RENAME, RENAMED, PURGED = "rename", "renamed", "purged"
STAY = {"streams", "audit_log", "health_events"}  # what has no personal data in it; streams go last

_operations = table_of(AuditLogRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """A source as the store knows it. Times are nanoseconds since 1970."""

    id: str
    name: str
    account_uuid: str | None
    paused_ns: int | None
    deleted_ns: int | None
    purging: bool


def find(engine: Engine, name: str) -> SourceIdentity | None:
    """The source of that name, deleted or not, or None where there is none."""
    return _found(engine, _sources.c.name == name)


def find_by_id(engine: Engine, source_id: str) -> SourceIdentity | None:
    """The source of that id, under whatever name."""
    return _found(engine, _sources.c.id == source_id)


def all_by_id(engine: Engine) -> dict[str, SourceIdentity]:
    """All sources by their ids."""
    with store_errors(), reading(engine).connect() as connection:
        return {row.id: _known(row) for row in connection.execute(select(_sources))}


def restart(engine: Engine, source: SourceIdentity, action: str = "restart", **details: Any) -> None:
    """Forget the errors of all streams and take every claim away, so that the next run reads all of them."""
    pending = {"state": "Pending", "state_ns": clock.now_ns(), "state_message": ""}
    with writing(engine) as connection:
        streams.restart_within(connection, source.id)
        connection.execute(
            update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None)).values(pending)
        )
        audit_log.record(connection, action, source.id, source.name, **details)


def revoke(engine: Engine, source_id: str) -> None:
    """Take every claim away and leave the errors as they are."""
    with writing(engine) as connection:
        streams.revoke_within(connection, source_id)


def pause(engine: Engine, source: SourceIdentity) -> None:
    """Remember that the schedule of the source was stopped by a person; one that is stopped stays so."""
    with writing(engine) as connection:
        if _set_paused(connection, source.id):
            audit_log.record(connection, "stop", source.id, source.name)


def resume(engine: Engine, source: SourceIdentity) -> None:
    """Remember that its schedule is to run again."""
    ended = update(_sources).where(_sources.c.id == source.id, _sources.c.paused_ns.is_not(None))
    with writing(engine) as connection:
        if connection.execute(ended.values(paused_ns=None, due_ns=clock.now_ns())).rowcount:
            audit_log.record(connection, "start", source.id, source.name)


def rename(engine: Engine, source: SourceIdentity, new: str, *, paused: bool) -> None:
    """Give the source another name; its id, events and cursors stay. `paused`: its schedule is, and stays so."""
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source.id).values(name=new))
        if paused:
            _set_paused(connection, source.id)
        audit_log.record(connection, RENAME, source.id, source.name, new_name=new)


def finish_renaming(engine: Engine, source: SourceIdentity) -> None:
    """Remember that all that bears the source's name has the new one."""
    with writing(engine) as connection:
        audit_log.record(connection, RENAMED, source.id, source.name)


def former_name(engine: Engine, source_id: str) -> str | None:
    """The name before a renaming that was not finished; None where there is no such."""
    last = _last_record(engine, source_id, RENAME, RENAMED)
    return None if last is None or last.action == RENAMED else str(last.source_name)


def begin_deletion(engine: Engine, source: SourceIdentity) -> None:
    """Show that the source is being deleted, also while its runs are still ending."""
    stopping = {"state": "Stopping", "state_ns": clock.now_ns(), "state_message": "It is being deleted."}
    with writing(engine) as connection:
        connection.execute(
            update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None)).values(stopping)
        )


def finish_deletion(engine: Engine, source: SourceIdentity) -> None:
    """Mark the source as deleted: no run can write to it, or send from it, any more. Its events stay."""
    now_ns = clock.now_ns()
    values = {"deleted_ns": now_ns, "paused_ns": None, "stop_ns": now_ns}
    state = {"state": "Deleted", "state_ns": now_ns, "state_message": ""}
    marked = update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None))
    with writing(engine) as connection:
        if not connection.execute(marked.values(**values, **state)).rowcount:
            return
        streams.restart_within(connection, source.id)
        positions.restart_source_within(connection, source.id)
        health.close_all(connection, source.id)
        audit_log.record(connection, "delete", source.id, source.name)


def count_events(engine: Engine, source_id: str) -> int:
    """How many events of the source are kept."""
    asked = select(func.coalesce(func.sum(_streams.c.events), 0)).where(_streams.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(asked).scalar_one())


def purge(engine: Engine, source: SourceIdentity, removed: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Remove a deleted source and all its events. Returns what was removed, which its record holds too.

    In small transactions, with as long a pause after each: other sources are collected meanwhile. The records and
    the health events stay. `removed` is told how many rows went. Raises ThirdPartyConfigError where the source is not
    deleted any more; then nothing is removed.
    """
    details = _begin_purge(engine, source)
    if is_sqlite(engine):
        _wipe_what_is_deleted(engine)
    for table, condition in _kept_of(engine, source.id):
        while gone := _remove_some(engine, source.id, table, condition):
            removed(gone)
    with writing(engine) as connection:
        connection.execute(delete(_streams).where(_streams.c.source_id == source.id))
        connection.execute(delete(_sources).where(_sources.c.id == source.id))
        audit_log.record(connection, PURGED, source.id, source.name, **details)
    if is_sqlite(engine):
        _empty_wal(engine)
    return details


def _begin_purge(engine: Engine, source: SourceIdentity) -> dict[str, Any]:
    """What is going to be removed, counted once: by the call that was killed, where there was one."""
    last = _last_record(engine, source.id, PURGE) if source.purging else None
    if last is not None:
        kept: dict[str, Any] = json.loads(last.details)
        return kept
    with writing(engine) as connection:
        deleted = update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_not(None))
        if not connection.execute(deleted.values(state=PURGING)).rowcount:
            raise ThirdPartyConfigError(
                f"{source.name!r} was made anew or removed meanwhile, so nothing of it was removed.",
                hint="`onepassword-source list` shows what there is; delete it again if that is what you want.",
                code="not-deleted",
            )
        streams.revoke_within(connection, source.id)
        positions.restart_source_within(connection, source.id)
        rows = connection.execute(select(_streams).where(_streams.c.source_id == source.id).order_by(_streams.c.id))
        details = {"apis": {row.api: _counts(connection, row.id) for row in rows.all()}}
        audit_log.record(connection, PURGE, source.id, source.name, **details)
    return details


def _counts(connection: Connection, stream_id: int) -> dict[str, Any]:
    event = table_of(EventRow)
    asked = select(func.count(), func.min(event.c.time_ns), func.max(event.c.time_ns))
    number, first, last = connection.execute(asked.where(event.c.stream_id == stream_id)).one()
    return {
        "events": number,
        "first": _iso(first),
        "last": _iso(last),
        "quarantined": _count(connection, QuarantinedItemRow, stream_id),
        "pruned_before": _count(connection, PrunedEventRow, stream_id),
    }


def _count(connection: Connection, kind: type[SQLModel], stream_id: int) -> int:
    table = table_of(kind)
    asked = select(func.count()).select_from(table).where(table.c.stream_id == stream_id)
    return int(connection.execute(asked).scalar_one())


def _kept_of(engine: Engine, source_id: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table with rows of the source, also one that a later version adds."""
    asked = select(_streams.c.id).where(_streams.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        ids = list(connection.scalars(asked))
    for table in SQLModel.metadata.sorted_tables:
        if "stream_id" in table.c:
            for stream_id in ids:
                yield table, table.c.stream_id == stream_id
        elif "source_id" in table.c and table.name not in STAY:
            yield table, table.c.source_id == source_id


def _remove_some(engine: Engine, source_id: str, table: Table, condition: ColumnElement[bool]) -> int:
    """One batch; 0 where nothing is left, and not where another process has just removed what was looked at."""
    key = list(table.primary_key)
    some = select(*key).where(condition).limit(BATCH)
    started = time.monotonic()
    with writing(engine) as connection:
        # A prune, or another purge, holds a stream's row until what it removes is gone.
        of_source = select(_streams.c.id).where(_streams.c.source_id == source_id).order_by(_streams.c.id)
        connection.execute(of_source.with_for_update(key_share=True))
        gone = connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount
    if gone:
        time.sleep(time.monotonic() - started)
    return gone


def _wipe_what_is_deleted(engine: Engine) -> None:
    """SQLite leaves what is deleted in its free pages unless told to overwrite it; and this was personal data."""
    with store_errors(), reading(engine).connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _empty_wal(engine: Engine) -> None:
    with store_errors(), reading(engine).connect() as connection:
        connection.exec_driver_sql("COMMIT")  # a checkpoint cannot run within a transaction
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.exec_driver_sql("BEGIN")


def _set_paused(connection: Connection, source_id: str) -> bool:
    ended = update(_sources).where(_sources.c.id == source_id, _sources.c.paused_ns.is_(None))
    return connection.execute(ended.values(paused_ns=clock.now_ns())).rowcount > 0


def _last_record(engine: Engine, source_id: str, *actions: str) -> Row[Any] | None:
    asked = select(_operations).where(_operations.c.source_id == source_id, _operations.c.action.in_(actions))
    with store_errors(), reading(engine).connect() as connection:
        return connection.execute(asked.order_by(_operations.c.id.desc()).limit(1)).one_or_none()


def _found(engine: Engine, condition: ColumnElement[bool]) -> SourceIdentity | None:
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(select(_sources).where(condition)).one_or_none()
    return None if row is None else _known(row)


def _known(row: Row[Any]) -> SourceIdentity:
    return SourceIdentity(
        row.id, row.name, row.account_uuid, row.paused_ns, row.deleted_ns, row.state == PURGING and bool(row.deleted_ns)
    )


def _iso(ns: int | None) -> str | None:
    return None if ns is None else Instant.from_timestamp(ns, unit="nanosecond").format_iso()
