"""The operations on a source as a whole: restart, stop, start, rename, delete, purge. Each writes an audit record.

The record is written in the transaction of the operation. An operation of more than one transaction (purge, and changes
on the Prefect server) can be killed at any instruction, and continues when it is called again.
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
from blocks.store.search import dictionary as search_dictionary
from blocks.store.sources import PURGE, PURGING
from blocks.store.tables import (
    AuditLogRow,
    EventIndexRow,
    EventRow,
    IndexPositionRow,
    PrunedEventRow,
    QuarantinedItemRow,
    SourceRow,
    StreamRow,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, Table

BATCH = 1000  # rows of one transaction of a purge: other writers wait for it, a few hundredths of a second
RENAME, RENAMED, PURGED = "rename", "renamed", "purged"
STAY = {"streams", "audit_log", "health_events"}
"""Tables that the batches of a purge skip: they hold no personal data. The streams go in its final transaction."""

_audit_log = table_of(AuditLogRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """A source as the store records it. Times are nanoseconds since 1970."""

    id: str
    name: str
    account_uuid: str | None
    paused_ns: int | None
    deleted_ns: int | None
    purging: bool


def find(engine: Engine, name: str) -> SourceIdentity | None:
    """The source of that name, deleted or not; None if there is none."""
    return _find(engine, _sources.c.name == name)


def find_by_id(engine: Engine, source_id: str) -> SourceIdentity | None:
    """The source of that id, deleted or not; None if there is none."""
    return _find(engine, _sources.c.id == source_id)


def all_by_id(engine: Engine) -> dict[str, SourceIdentity]:
    """All sources by their ids."""
    with store_errors(), reading(engine).connect() as connection:
        return {row.id: _identity(row) for row in connection.execute(select(_sources))}


def restart(engine: Engine, source: SourceIdentity, action: str = "restart", **details: Any) -> None:
    """Clear the errors of all streams and revoke every claim, so that the next run reads all streams."""
    pending = {"state": "Pending", "state_ns": clock.now_ns(), "state_message": ""}
    with writing(engine) as connection:
        streams.restart_within(connection, source.id)
        connection.execute(
            update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None)).values(pending)
        )
        audit_log.record(connection, action, source.id, source.name, **details)


def revoke(engine: Engine, source_id: str) -> None:
    """Revoke every claim; the errors stay."""
    with writing(engine) as connection:
        streams.revoke_within(connection, source_id)


def pause(engine: Engine, source: SourceIdentity) -> None:
    """Record that the schedule of the source was stopped by command; no effect if it is stopped already."""
    with writing(engine) as connection:
        if _set_paused(connection, source.id):
            audit_log.record(connection, "stop", source.id, source.name)


def resume(engine: Engine, source: SourceIdentity) -> None:
    """Record that the schedule of the source runs again; no effect if it is not stopped."""
    resuming = update(_sources).where(_sources.c.id == source.id, _sources.c.paused_ns.is_not(None))
    with writing(engine) as connection:
        if connection.execute(resuming.values(paused_ns=None, due_ns=clock.now_ns())).rowcount:
            audit_log.record(connection, "start", source.id, source.name)


def rename(engine: Engine, source: SourceIdentity, new: str, *, paused: bool) -> None:
    """Rename the source; its id, events and cursors stay. `paused`: its schedule is paused, and stays paused."""
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source.id).values(name=new))
        if paused:
            _set_paused(connection, source.id)
        audit_log.record(connection, RENAME, source.id, source.name, new_name=new)


def finish_renaming(engine: Engine, source: SourceIdentity) -> None:
    """Record that the renaming is complete: everything with the source's name has the new one."""
    with writing(engine) as connection:
        audit_log.record(connection, RENAMED, source.id, source.name)


def former_name(engine: Engine, source_id: str) -> str | None:
    """The name before a renaming that is not complete; None if no renaming is pending."""
    last = _last_record(engine, source_id, RENAME, RENAMED)
    return None if last is None or last.action == RENAMED else str(last.source_name)


def begin_deletion(engine: Engine, source: SourceIdentity) -> None:
    """Set the state to Stopping, which shows while the source's runs end."""
    stopping = {"state": "Stopping", "state_ns": clock.now_ns(), "state_message": "It is being deleted."}
    with writing(engine) as connection:
        connection.execute(
            update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None)).values(stopping)
        )


def finish_deletion(engine: Engine, source: SourceIdentity) -> None:
    """Mark the source as deleted: no run can write to it or forward from it any more. Its events stay."""
    now_ns = clock.now_ns()
    values = {"deleted_ns": now_ns, "paused_ns": None, "stop_ns": now_ns}
    state = {"state": "Deleted", "state_ns": now_ns, "state_message": ""}
    mark = update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_(None))
    with writing(engine) as connection:
        if not connection.execute(mark.values(**values, **state)).rowcount:
            return
        streams.restart_within(connection, source.id)
        positions.restart_source_within(connection, source.id)
        health.close_all(connection, source.id)
        audit_log.record(connection, "delete", source.id, source.name)


def count_events(engine: Engine, source_id: str) -> int:
    """The number of the source's events in the store."""
    query = select(func.coalesce(func.sum(_streams.c.events), 0)).where(_streams.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(query).scalar_one())


def purge(engine: Engine, source: SourceIdentity, removed: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
    """Remove a deleted source and all its events. Returns what was removed, which the audit record holds too.

    Each small transaction is followed by a pause of its own length, so that other sources are collected meanwhile. The
    audit records and the health events stay. `removed` is called with the number of rows of each transaction. Raises
    ThirdPartyConfigError if the source is not marked as deleted any more; then nothing is removed.
    """
    details = _begin_purge(engine, source)
    if is_sqlite(engine):
        _enable_secure_delete(engine)
    for table, condition in _rows_of_source(engine, source.id):
        while number := _remove_batch(engine, source.id, table, condition):
            removed(number)
    with writing(engine) as connection:
        connection.execute(delete(_streams).where(_streams.c.source_id == source.id))
        connection.execute(delete(_sources).where(_sources.c.id == source.id))
        audit_log.record(connection, PURGED, source.id, source.name, **details)
    if is_sqlite(engine):
        _empty_wal(engine)
    return details


def _begin_purge(engine: Engine, source: SourceIdentity) -> dict[str, Any]:
    """Count what the purge will remove. If an earlier call was killed, return what that call counted."""
    last = _last_record(engine, source.id, PURGE) if source.purging else None
    if last is not None:
        earlier: dict[str, Any] = json.loads(last.details)
        return earlier
    with writing(engine) as connection:
        purging = update(_sources).where(_sources.c.id == source.id, _sources.c.deleted_ns.is_not(None))
        if not connection.execute(purging.values(state=PURGING)).rowcount:
            raise ThirdPartyConfigError(
                f"{source.name!r} was created again or purged meanwhile, so nothing was removed.",
                hint="`onepassword-source list` shows the sources. If you still want to remove it, delete it again.",
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
    query = select(func.count(), func.min(event.c.time_ns), func.max(event.c.time_ns))
    number, first, last = connection.execute(query.where(event.c.stream_id == stream_id)).one()
    return {
        "events": number,
        "first": _iso(first),
        "last": _iso(last),
        "quarantined": _count(connection, QuarantinedItemRow, stream_id),
        "pruned_before": _count(connection, PrunedEventRow, stream_id),
    }


def _count(connection: Connection, kind: type[SQLModel], stream_id: int) -> int:
    table = table_of(kind)
    query = select(func.count()).select_from(table).where(table.c.stream_id == stream_id)
    return int(connection.execute(query).scalar_one())


def _rows_of_source(engine: Engine, source_id: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table with rows of the source, found by its columns, so that tables of later versions are included."""
    query = select(_streams.c.id).where(_streams.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        ids = list(connection.scalars(query))
    for table in SQLModel.metadata.sorted_tables:
        if table.name == EventIndexRow.__tablename__:
            continue  # its rows go with their events
        if "stream_id" in table.c:
            for stream_id in ids:
                yield table, table.c.stream_id == stream_id
        elif "source_id" in table.c and table.name not in STAY:
            yield table, table.c.source_id == source_id


def _remove_batch(engine: Engine, source_id: str, table: Table, condition: ColumnElement[bool]) -> int:
    """Remove one batch and return its number of rows: 0 only if no rows are left.

    It is never 0 because another process removed the selected rows just then: the stream's row lock prevents that.
    """
    key = list(table.primary_key)
    batch = select(*key).where(condition).limit(BATCH)
    started = time.monotonic()
    with writing(engine) as connection:
        # A prune, or another purge, locks a stream's row until the end of the transaction in which it removes rows.
        of_source = select(_streams.c.id).where(_streams.c.source_id == source_id).order_by(_streams.c.id)
        connection.execute(of_source.with_for_update(key_share=True))
        number = _remove_rows(connection, table, batch)
    if number:
        time.sleep(time.monotonic() - started)
    return number


def _remove_rows(connection: Connection, table: Table, batch: Select[Any]) -> int:
    key = tuple_(*table.primary_key)
    if table.name != EventRow.__tablename__:
        if table.name == IndexPositionRow.__tablename__:
            search_dictionary.lock(connection)  # the indexer may be writing this row
        return connection.execute(delete(table).where(key.in_(batch))).rowcount
    event_ids = connection.scalars(batch).all()
    search_dictionary.remove_events(connection, event_ids)
    return connection.execute(delete(table).where(table.c.id.in_(event_ids))).rowcount


def _enable_secure_delete(engine: Engine) -> None:
    """Without it, SQLite leaves deleted rows, which are personal data, in the free pages of the file."""
    with store_errors(), reading(engine).connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _empty_wal(engine: Engine) -> None:
    with store_errors(), reading(engine).connect() as connection:
        connection.exec_driver_sql("COMMIT")  # a checkpoint cannot run within a transaction
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.exec_driver_sql("BEGIN")


def _set_paused(connection: Connection, source_id: str) -> bool:
    pausing = update(_sources).where(_sources.c.id == source_id, _sources.c.paused_ns.is_(None))
    return connection.execute(pausing.values(paused_ns=clock.now_ns())).rowcount > 0


def _last_record(engine: Engine, source_id: str, *actions: str) -> Row[Any] | None:
    query = select(_audit_log).where(_audit_log.c.source_id == source_id, _audit_log.c.action.in_(actions))
    with store_errors(), reading(engine).connect() as connection:
        return connection.execute(query.order_by(_audit_log.c.id.desc()).limit(1)).one_or_none()


def _find(engine: Engine, condition: ColumnElement[bool]) -> SourceIdentity | None:
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(select(_sources).where(condition)).one_or_none()
    return None if row is None else _identity(row)


def _identity(row: Row[Any]) -> SourceIdentity:
    return SourceIdentity(
        row.id, row.name, row.account_uuid, row.paused_ns, row.deleted_ns, row.state == PURGING and bool(row.deleted_ns)
    )


def _iso(ns: int | None) -> str | None:
    return None if ns is None else Instant.from_timestamp(ns, unit="nanosecond").format_iso()
