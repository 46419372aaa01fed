"""What was found beside the events: by reconcile (late, missed, changed), and what the documentation does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from blocks.store.engine import reading, store_errors
from blocks.store.tables import ChangedBodyRow, EventRow, LateOrMissedRow, StreamRow, UndocumentedValueRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

LIMIT = 200

_changed = table_of(ChangedBodyRow)
_events = table_of(EventRow)
_marked = table_of(LateOrMissedRow)
_streams = table_of(StreamRow)
_undocumented = table_of(UndocumentedValueRow)


@dataclass(frozen=True, slots=True)
class MarkedEvent:
    """An event that reconcile found and live collection had not stored. `verdict` is None until it is decided.

    Times are nanoseconds since 1970.
    """

    api: str
    uuid: str
    time_ns: int
    found_ns: int
    verdict: str | None
    decided_ns: int | None
    event_id: int | None
    """Its id in the table of events; None if it was pruned."""


@dataclass(frozen=True, slots=True)
class ChangedBody:
    """A body that the server sent later under the uuid of a stored event. `stored` is None if the event was pruned."""

    api: str
    uuid: str
    received_ns: int
    body: str
    stored: str | None
    event_id: int | None


@dataclass(frozen=True, slots=True)
class UndocumentedValue:
    """A member, or a value of one, that this version does not know, and when it first came (ns since 1970)."""

    api: str
    kind: str
    path: str
    value: str
    seen_ns: int


def marked_events(engine: Engine, source_id: str, limit: int = LIMIT) -> list[MarkedEvent]:
    """The events of a source that were late, missed or are undecided, the newest finding first."""
    c = _marked.c
    same = (_events.c.stream_id == c.stream_id) & (_events.c.uuid == c.uuid)
    query = (
        select(_streams.c.api, c.uuid, c.time_ns, c.found_ns, c.verdict, c.decided_ns, _events.c.id)
        .join(_streams, _streams.c.id == c.stream_id)
        .outerjoin(_events, same)
        .where(_streams.c.source_id == source_id)
        .order_by(c.found_ns.desc(), c.time_ns.desc(), c.uuid)
    )
    with store_errors(), reading(engine).connect() as connection:
        return [MarkedEvent(*row) for row in connection.execute(query.limit(limit))]


def changed_bodies(engine: Engine, source_id: str, limit: int = LIMIT) -> list[ChangedBody]:
    """The changed bodies of a source beside the stored ones, the newest first."""
    c = _changed.c
    same = (_events.c.stream_id == c.stream_id) & (_events.c.uuid == c.uuid)
    query = (
        select(_streams.c.api, c.uuid, c.received_ns, c.body, _events.c.body.label("stored"), _events.c.id)
        .join(_streams, _streams.c.id == c.stream_id)
        .outerjoin(_events, same)
        .where(_streams.c.source_id == source_id)
        .order_by(c.id.desc())
    )
    with store_errors(), reading(engine).connect() as connection:
        return [ChangedBody(*row) for row in connection.execute(query.limit(limit))]


def undocumented_values(engine: Engine, source_id: str) -> list[UndocumentedValue]:
    """The members and values of a source's events that are not documented, the newest first."""
    c = _undocumented.c
    query = (
        select(_streams.c.api, c.kind, c.path, c.value, c.seen_ns)
        .join(_streams, _streams.c.id == c.stream_id)
        .where(_streams.c.source_id == source_id, c.kind != "quarantine")
        .order_by(c.seen_ns.desc(), c.path, c.value)
    )
    with store_errors(), reading(engine).connect() as connection:
        return [UndocumentedValue(*row) for row in connection.execute(query)]
