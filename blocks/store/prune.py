"""Retention: remove old events in small batches; the uuid and the body's digest of each event stay.

A batch is one transaction that records in `audit_log` what it removed, so a kill at any moment leaves nothing half
done, and the next run continues. Quarantined items stay, because their time is unknown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, func, literal, select, tuple_, union_all, update
from whenever import Instant

from blocks import clock
from blocks.durations import duration_ns
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, hourly_counts
from blocks.store.engine import reading, store_errors, writing
from blocks.store.integrity import digests
from blocks.store.on_conflict import InsertNew
from blocks.store.search import dictionary as search_dictionary
from blocks.store.tables import (
    ChangedBodyRow,
    EventRow,
    LegibleBodyRow,
    PairRow,
    PositionRow,
    PrunedEventRow,
    RejectedEventRow,
    SourceRow,
    StreamRow,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Select

    from blocks.events_api.models import Event as ReadEvent

DAYS_MIN = 121  # 1Password keeps 120 days: reading them again would bring back events that were pruned
BATCH = 1000
_DAY_NS = 86_400 * 10**9
_BODIES = 100  # in memory at once: a body may be a megabyte
_PAUSE_SECONDS = 0.15  # more than SQLite's longest sleep between two tries of another writer (0.1 s)
_NEVER_NS, _EVER_NS = -(2**63), 2**63 - 1

_events = table_of(EventRow)
_pairs = table_of(PairRow)
_legible = table_of(LegibleBodyRow)
_positions = table_of(PositionRow)
_pruned = table_of(PrunedEventRow)
_rejected_events = table_of(RejectedEventRow)
_revisions = table_of(ChangedBodyRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What may be removed: events before `before_ns` that were received before `received_before_ns` (ns since 1970)."""

    before_ns: int
    received_before_ns: int

    def may_be_removed(self, event_id: int, time_ns: int, received_ns: int, acknowledged_id: int | None) -> bool:
        """True if an event may be removed. All SIEMs have acknowledged up to `acknowledged_id`; None without SIEMs."""
        if acknowledged_id is not None and event_id > acknowledged_id:
            return False
        return min(time_ns, received_ns) < self.before_ns and received_ns < self.received_before_ns


@dataclass(frozen=True, slots=True)
class PruneTarget:
    """A stream to prune."""

    stream_id: int
    api: str
    source_id: str
    source_name: str


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What a prune would remove from a stream, and what it would keep although it is old. Times are ns since 1970.

    `unsent` counts the events that a SIEM does not have: they were not sent yet, or the SIEM rejected them.
    """

    target: PruneTarget
    events: int
    going: int
    unsent: int
    recent: int
    first_ns: int | None
    last_ns: int | None


def parse_rule(older_than: str) -> RetentionRule:
    """Parse `400d` or `60w` into a rule as of now. Raises ThirdPartyConfigError for other forms, and under 121 days."""
    try:
        span_ns = duration_ns(older_than)
    except ValueError:
        raise _usage_error(f"{older_than!r} is not a number of days or weeks.") from None
    if span_ns < DAYS_MIN * _DAY_NS:
        raise _usage_error(
            f"{older_than} is less than {DAYS_MIN} days: 1Password keeps its events for 120, "
            "so reading again could bring back what was removed."
        )
    now_ns = clock.now_ns()
    return RetentionRule(max(now_ns - span_ns, _NEVER_NS), now_ns - DAYS_MIN * _DAY_NS)


def targets(engine: Engine, name: str | None = None) -> list[PruneTarget]:
    """The streams of all sources, or of the source with that name or id; deleted sources are included.

    Raises ThirdPartyConfigError if there is no such source.
    """
    query = (
        select(_sources.c.id, _sources.c.name, _streams.c.id.label("stream_id"), _streams.c.api)
        .join(_streams, _streams.c.source_id == _sources.c.id)
        .order_by(_sources.c.name, _streams.c.id)
    )
    with store_errors(), reading(engine).connect() as connection:
        found = [PruneTarget(row.stream_id, row.api, row.id, row.name) for row in connection.execute(query)]
    chosen = [target for target in found if name in {None, target.source_name, target.source_id}]
    if name is not None and not chosen:
        raise ThirdPartyConfigError(
            f"There is no source named {name!r} in the store.",
            hint="`onepassword-source status` lists those there are.",
            code="unknown-source",
        )
    return chosen


def plan(engine: Engine, target: PruneTarget, rule: RetentionRule) -> PrunePlan:
    """Count what a prune would remove from a stream now; nothing is changed."""
    with store_errors(), reading(engine).connect() as connection:
        events = connection.scalar(select(_streams.c.events).where(_streams.c.id == target.stream_id))
        acknowledged_id = _acknowledged_id(connection, target.stream_id)
        recent = _events.c.received_ns >= rule.received_before_ns
        unsent = (_events.c.id > (2**63 - 1 if acknowledged_id is None else acknowledged_id)) | _is_rejected(
            target.stream_id
        )
        goes = ~recent & ~unsent
        time_ns = case((goes, _events.c.time_ns))
        query = select(
            func.count().filter(goes).label("going"),
            func.count().filter(unsent).label("unsent"),
            func.count().filter(recent & ~unsent).label("recent"),
            func.min(time_ns).label("first_ns"),
            func.max(time_ns).label("last_ns"),
        ).where(_events.c.stream_id == target.stream_id, _is_old(rule))
        row = connection.execute(query).one()
    return PrunePlan(target, events or 0, row.going, row.unsent, row.recent, row.first_ns, row.last_ns)


def prune(
    engine: Engine, target: PruneTarget, rule: RetentionRule, wait: Callable[[float], object] = time.sleep
) -> Iterator[int]:
    """Remove what the rule allows from a stream, oldest first, and yield how many events each batch removed.

    After each batch it waits at least as long as the batch blocked other writers.
    Raises FirstPartyGenericError if the database does not answer; what was removed by then is recorded.
    """
    for start_ns, until_ns in _spans(rule):
        yield from _prune_span(engine, target, rule, (start_ns, until_ns), wait)


def _prune_span(
    engine: Engine, target: PruneTarget, rule: RetentionRule, span: tuple[int, int], wait: Callable[[float], object]
) -> Iterator[int]:
    position: tuple[int, int] | None = (span[0], _EVER_NS)  # after every event with exactly that time
    while position:
        found, position = _next_batch(engine, target.stream_id, rule, span[1], position)
        if not found:
            continue
        with_digests = _digests(engine, found)
        started = time.monotonic()
        removed = _remove(engine, target, rule, with_digests)
        wait(max(_PAUSE_SECONDS, time.monotonic() - started))
        if removed:
            yield removed


def pruned_uuids(connection: Connection, stream_id: int, events: Sequence[ReadEvent]) -> set[str]:
    """The uuids of those events that were pruned earlier; call it under the stream's row lock.

    A page of recent events costs no query: pruned events are older than what 1Password keeps.
    """
    bound_ns = clock.now_ns() - (DAYS_MIN - 1) * _DAY_NS
    now_ns = clock.now_ns()
    old = [event.uuid for event in events if event.time_ns < bound_ns or event.time_ns > now_ns]
    if not old:
        return set()
    query = select(_pruned.c.uuid).where(_pruned.c.stream_id == stream_id, _pruned.c.uuid.in_(old))
    return set(connection.scalars(query))


@dataclass(frozen=True, slots=True)
class _PrunableEvent:
    id: int
    uuid: str
    time_ns: int
    received_ns: int
    digest: bytes


def _usage_error(message: str) -> ThirdPartyConfigError:
    hint = f"Give {DAYS_MIN}d or more, such as 400d."
    return ThirdPartyConfigError(f"--older-than: {message}", hint=hint, code="older-than")


def _acknowledged_id(connection: Connection, stream_id: int) -> int | None:
    """The last id that every SIEM acknowledged; None without SIEMs, and for a deleted source, which sends nothing."""
    of_stream = _positions.c.stream_id == stream_id
    # A pair has no position in a new stream until a run opens the stream, and the runs of a paused pair do not.
    each = _pairs.outerjoin(_positions, (_positions.c.pair_id == _pairs.c.id) & of_stream)
    known = select(func.coalesce(_positions.c.acknowledged_id, 0).label("acknowledged_id")).select_from(each)
    known = known.where(_pairs.c.source_id.in_(_live_source(stream_id)))
    others = select(_positions.c.acknowledged_id).where(of_stream, _live_source(stream_id).exists())
    acknowledged_id: int | None = connection.scalar(
        select(func.min(union_all(known, others).subquery().c.acknowledged_id))
    )
    return acknowledged_id


def _live_source(stream_id: int) -> Select[tuple[str]]:
    """The source of a stream, unless it was deleted."""
    of_source = _streams.c.source_id == _sources.c.id
    return (
        select(_sources.c.id)
        .join(_streams, of_source)
        .where(_streams.c.id == stream_id, _sources.c.deleted_ns.is_(None))
    )


def _is_rejected(stream_id: int) -> ColumnElement[bool]:
    """Whether a SIEM rejected the event. Read it after `_acknowledged_id`: a position moves in the same transaction."""
    pairs = select(_pairs.c.id).where(_pairs.c.source_id.in_(_live_source(stream_id)))
    rows = select(_rejected_events.c.event_id).where(
        _rejected_events.c.pair_id.in_(pairs),
        _rejected_events.c.stream_id == stream_id,
        _rejected_events.c.event_id == _events.c.id,
    )
    return rows.exists()


def _spans(rule: RetentionRule) -> tuple[tuple[int, int], ...]:
    """The spans of event time to search: old events, and events dated in the future, whose receipt decides.

    An event that was dated in the future and no longer is will be removed once its own time is old.
    """
    return (_NEVER_NS, rule.before_ns), (clock.now_ns(), _EVER_NS)


def _within(span: tuple[int, int]) -> Any:
    return (_events.c.time_ns > span[0]) & (_events.c.time_ns < span[1])


def _is_old(rule: RetentionRule) -> Any:
    old, in_future = map(_within, _spans(rule))
    return old | (in_future & (_events.c.received_ns < rule.before_ns))


def _next_batch(
    engine: Engine, stream_id: int, rule: RetentionRule, until_ns: int, after: tuple[int, int]
) -> tuple[list[int], tuple[int, int] | None]:
    """The ids to remove among the next BATCH old events, and the position after them; None at the end of the span."""
    query = (
        select(_events.c.id, _events.c.time_ns, _events.c.received_ns, _is_rejected(stream_id).label("rejected"))
        .where(
            _events.c.stream_id == stream_id,
            tuple_(_events.c.time_ns, _events.c.id) > tuple_(literal(after[0]), literal(after[1])),
            _events.c.time_ns < until_ns,
        )
        .order_by(_events.c.time_ns, _events.c.id)
        .limit(BATCH)
    )
    with store_errors(), reading(engine).connect() as connection:
        acknowledged_id = _acknowledged_id(connection, stream_id)
        rows = connection.execute(query).all()
    may_go = (row for row in rows if not row.rejected)
    found = [row.id for row in may_go if rule.may_be_removed(row.id, row.time_ns, row.received_ns, acknowledged_id)]
    return found, (rows[-1].time_ns, rows[-1].id) if len(rows) == BATCH else None


def _digests(engine: Engine, ids: Sequence[int]) -> list[_PrunableEvent]:
    found: list[_PrunableEvent] = []
    for start in range(0, len(ids), _BODIES):
        query = select(_events).where(_events.c.id.in_(ids[start : start + _BODIES]))
        with store_errors(), reading(engine).connect() as connection:
            found += map(_prunable_event, connection.execute(query))
    return found


def _prunable_event(row: Row[Any]) -> _PrunableEvent:
    return _PrunableEvent(row.id, row.uuid, row.time_ns, row.received_ns, digests.body_digest(row.body))


def _remove(engine: Engine, target: PruneTarget, rule: RetentionRule, found: Sequence[_PrunableEvent]) -> int:
    """Remove one batch. It skips events that another prune removed meanwhile, and re-reads the SIEMs' positions."""
    with writing(engine) as connection:
        if not _lock(connection, target.stream_id):  # its source was purged
            return 0
        acknowledged_id = _acknowledged_id(connection, target.stream_id)
        ids = [one.id for one in found if rule.may_be_removed(one.id, one.time_ns, one.received_ns, acknowledged_id)]
        removed = delete(_events).where(_events.c.id.in_(ids), ~_is_rejected(target.stream_id)).returning(_events.c.id)
        gone = set(connection.scalars(removed))
        batch = [one for one in found if one.id in gone]
        if batch:
            _keep_digests(connection, target, batch)
            _record(connection, target, rule, batch)
            search_dictionary.remove_events(connection, sorted(gone))
    return len(gone)


def _lock(connection: Connection, stream_id: int) -> bool:
    # Every writer of a stream writes the stream's row first.
    locked = update(_streams).where(_streams.c.id == stream_id).values(pruned=_streams.c.pruned)
    return connection.execute(locked).rowcount > 0


def _keep_digests(connection: Connection, target: PruneTarget, batch: Sequence[_PrunableEvent]) -> None:
    """Keep the uuid, the times and the digest of each event; delete the copies of its body."""
    rows = [
        {
            "uuid": one.uuid,
            "event_id": one.id,
            "time_ns": one.time_ns,
            "received_ns": one.received_ns,
            "digest": one.digest,
        }
        for one in sorted(batch, key=lambda one: one.uuid)
    ]
    connection.execute(InsertNew(_pruned).values(stream_id=target.stream_id), rows)
    uuids = [one.uuid for one in batch]
    for table in (_legible, _revisions):  # these hold bodies too
        connection.execute(delete(table).where(table.c.stream_id == target.stream_id, table.c.uuid.in_(uuids)))
    hourly_counts.decrement(connection, target.stream_id, [one.time_ns for one in batch])
    counts = {"events": _streams.c.events - len(batch), "pruned": _streams.c.pruned + len(batch)}
    connection.execute(update(_streams).where(_streams.c.id == target.stream_id).values(counts))


def _record(connection: Connection, target: PruneTarget, rule: RetentionRule, batch: Sequence[_PrunableEvent]) -> None:
    times, ids = [one.time_ns for one in batch], [one.id for one in batch]
    audit_log.record(
        connection,
        "prune",
        target.source_id,
        target.source_name,
        api=target.api,
        stream_id=target.stream_id,
        before=_iso(rule.before_ns),
        count=len(batch),
        first_time=_iso(min(times)),
        last_time=_iso(max(times)),
        first_id=min(ids),
        last_id=max(ids),
    )


def _iso(ns: int) -> str:
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso()
