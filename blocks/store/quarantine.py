"""Items in quarantine: list them, try again to store them as events, or discard them.

An item that an older version could not read may be an event for this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api, Event, Page, read_item
from blocks.health import tracker_of
from blocks.store import audit_log, health, pages
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import QuarantinedItemRow, SourceRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection, Engine, Row

PAGE = 100
BATCH = 500
"""Items that are tried again in one transaction."""

_items = table_of(QuarantinedItemRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """An item that could not be stored as an event, byte for byte, and why. Received in ns since 1970."""

    id: int
    api: str
    received_ns: int
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RetryResult:
    """How many items were stored as events now, were stored already, and stay in quarantine."""

    stored: int
    known: int
    left: int


def list_page(engine: Engine, source_id: str, after_id: int = 0, size: int = PAGE) -> list[QuarantinedItem]:
    """The items of a source by id, from past `after_id` on."""
    columns = (_items.c.id, _streams.c.api, _items.c.received_ns, _items.c.reason, _items.c.body)
    query = select(*columns).join(_streams, _streams.c.id == _items.c.stream_id).order_by(_items.c.id).limit(size)
    query = query.where(_streams.c.source_id == source_id, _items.c.id > after_id)
    with store_errors(), reading(engine).connect() as connection:
        return [
            QuarantinedItem(row.id, row.api, row.received_ns, row.reason, bytes(row.body))
            for row in connection.execute(query)
        ]


def count(engine: Engine, source_id: str) -> int:
    """How many items of a source are in quarantine."""
    query = select(func.count()).select_from(_items).join(_streams, _streams.c.id == _items.c.stream_id)
    with store_errors(), reading(engine).connect() as connection:
        return connection.scalar(query.where(_streams.c.source_id == source_id)) or 0


def retry(engine: Engine, source_id: str, only: Collection[int] | None = None) -> RetryResult:
    """Read items again, all or `only` some, and store those that are events for this version.

    Raises ThirdPartyConfigError if there is no such source.
    """
    stored = known = left = 0
    for stream_id in _stream_ids(engine, source_id):
        last_id = 0
        while True:
            counts, last_id = _retry_batch(engine, stream_id, only, last_id)
            stored, known, left = stored + counts.stored, known + counts.known, left + counts.left
            if not last_id:
                break
    with writing(engine) as connection:
        details = {"stored": stored, "known": known, "left": left}
        audit_log.record(connection, "quarantine retry", source_id, _name(connection, source_id), **details)
    return RetryResult(stored, known, left)


def discard(engine: Engine, source_id: str, reason: str, only: Collection[int] | None = None) -> int:
    """Delete items for good, all or `only` some. The reason and their digests are recorded. Returns how many.

    Raises ThirdPartyConfigError if there is no such source.
    """
    digests: list[str] = []
    stream_ids = _stream_ids(engine, source_id)
    with writing(engine) as connection:
        for stream_id in stream_ids:
            stream = _lock(connection, stream_id)
            gone = delete(_items).where(_of_stream(stream_id, only)).returning(_items.c.digest)
            removed = [bytes(digest).hex() for digest in connection.scalars(gone)]
            _count_down(connection, stream, len(removed), "The quarantined items were discarded.")
            digests += removed
        audit_log.record(
            connection,
            "quarantine discard",
            source_id,
            _name(connection, source_id),
            items=len(digests),
            reason=reason,
            sha256=digests[:PAGE],
        )
    return len(digests)


def _retry_batch(
    engine: Engine, stream_id: int, only: Collection[int] | None, after_id: int
) -> tuple[RetryResult, int]:
    """Try the next items of a stream. Returns the counts and the last id; 0 if there are no more."""
    with writing(engine) as connection:
        stream = _lock(connection, stream_id)
        query = select(_items.c.id, _items.c.body).where(_of_stream(stream_id, only), _items.c.id > after_id)
        rows = connection.execute(query.order_by(_items.c.id).limit(BATCH)).all()
        events: list[Event] = []
        ids: list[int] = []
        for row in rows:
            read = read_item(bytes(row.body))
            if isinstance(read, Event):
                events.append(read)
                ids.append(row.id)
        counts = pages.PageCounts(0, 0, 0)
        if ids:
            counts = _store(connection, stream, events)
            connection.execute(delete(_items).where(_items.c.id.in_(ids)))
            _count_down(connection, stream, len(ids), "The quarantined items were stored as events.")
    return RetryResult(counts.new, counts.known, len(rows) - len(ids)), rows[-1].id if len(rows) == BATCH else 0


def _store(connection: Connection, stream: Row[Any], events: list[Event]) -> pages.PageCounts:
    version = connection.scalar(select(_sources.c.api_version).where(_sources.c.id == stream.source_id))
    page = Page("", has_more=False, events=events, invalid_items=[])
    return pages.insert_page(connection, stream, pages.prepare(page, Api(stream.api), str(version)))[0]


def _count_down(connection: Connection, stream: Row[Any], number: int, sentence: str) -> None:
    if not number:
        return
    less = update(_streams).where(_streams.c.id == stream.id, _streams.c.quarantined >= number)
    connection.execute(less.values(quarantined=_streams.c.quarantined - number))
    if connection.execute(select(_items.c.id).where(_items.c.stream_id == stream.id).limit(1)).first() is None:
        health.end(connection, stream.source_id, tracker_of("quarantine", stream.api), sentence, stream.api)


def _lock(connection: Connection, stream_id: int) -> Row[Any]:
    """Write the stream's row first, as every writer of a stream does, and return it."""
    written = update(_streams).where(_streams.c.id == stream_id).values(newest_ns=_streams.c.newest_ns)
    return connection.execute(written.returning(_streams)).one()


def _of_stream(stream_id: int, only: Collection[int] | None) -> ColumnElement[bool]:
    of_stream = _items.c.stream_id == stream_id
    return of_stream if only is None else of_stream & _items.c.id.in_(only)


def _stream_ids(engine: Engine, source_id: str) -> list[int]:
    query = select(_streams.c.id).where(_streams.c.source_id == source_id).order_by(_streams.c.id)
    with store_errors(), reading(engine).connect() as connection:
        found = list(connection.scalars(query))
    if not found:
        raise ThirdPartyConfigError("There is no such source. Nothing was changed.", code="unknown-source")
    return found


def _name(connection: Connection, source_id: str) -> str:
    return str(connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id)))
