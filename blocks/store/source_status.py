"""The read side of the store, in plain SQL: commands that only read start without SQLModel and without Prefect."""

from __future__ import annotations

import heapq
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, text

from blocks import clock, settings
from blocks.config.alert_thresholds import AHEAD_NS
from blocks.errors import ThirdPartyConfigError, join_sentences
from blocks.store import claims, schema
from blocks.store.engine import open_engine, reading, sqlite_path, store_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine, Row, TextClause

BATCH = 2000
VALUES_MAX = 1000  # values in one statement
HOURS = 24
NO_STORE = "no-store"
"""The code of the error that there is no store yet."""
HOUR_NS = 3600 * 10**9
ERRORS = frozenset({"ThirdPartyConfigError", "ThirdPartyGenericError", "FirstPartyGenericError"})


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """What the store knows of one API of a source. Times are nanoseconds since 1970.

    `claim_expires_ns` is None if no run reads it, or if the process of the run is known to be dead.
    """

    id: int
    api: str
    events: int
    quarantined: int
    newest_ns: int | None
    cursor_ns: int | None
    progress_ns: int | None
    drained_ns: int | None
    claim_expires_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_message: str | None
    stopped: bool
    lag_ns: int | None = None
    pruned: int = 0
    late: int = 0
    missed: int = 0
    changed: int = 0
    in_future: int = 0
    """Events whose time is in the future."""
    error_ns: int | None = None
    """When the error was seen last."""
    failed_attempts: int = 0
    """How many have failed in a row."""

    @property
    def is_retried(self) -> bool:
        """Whether it fails and is retried."""
        return self.failing_since_ns is not None and not self.stopped

    @property
    def retries_ns(self) -> int | None:
        """When the waiting run tries again, at the latest; None if the API does not fail, or no run waits."""
        return claims.next_attempt_ns(self.claim_expires_ns, clock.now_ns()) if self.is_retried else None

    @property
    def state(self) -> str:
        """`ok`, `reading`, `retrying`, `not read yet`, or the type of the error that stopped it."""
        if self.stopped:
            return self.error_type or "stopped"
        if self.failing_since_ns is not None:
            return "retrying"
        if self.claim_expires_ns is not None and self.claim_expires_ns > clock.now_ns():
            return "reading"
        return "ok" if self.drained_ns is not None else "not read yet"

    @property
    def collector_lag_ns(self) -> int | None:
        """How long ago the last complete drain began; None before the first."""
        return None if self.drained_ns is None else max(clock.now_ns() - self.drained_ns, 0)


@dataclass(frozen=True, slots=True)
class OpenCondition:
    """A problem that is open now, since when (ns since 1970), and what to do."""

    tracker: str
    name: str
    severity: str
    description: str
    hint: str | None
    since_ns: int

    @property
    def sentence(self) -> str:
        """The description and the hint."""
        return join_sentences(self.description, self.hint)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What the store knows of one source. `state` is the state that a run reported last."""

    id: str
    name: str
    base_url: str
    account_uuid: str | None
    state: str
    state_ns: int | None
    message: str
    run_id: str | None
    streams: tuple[StreamStatus, ...]
    paused_ns: int | None = None
    deleted_ns: int | None = None
    recovered_ns: int | None = None
    """When an error was over last."""
    open: tuple[OpenCondition, ...] = ()
    apis: tuple[str, ...] = ()
    """Those that are collected now."""
    token_expires_ns: int | None = None
    """When its token says that it expires."""

    @property
    def in_error(self) -> bool:
        return self.state in ERRORS or any(stream.stopped for stream in self.streams)


class EventCounts(NamedTuple):
    """How many events of an API happened in the last hour, in the last 24, and in each of 24 hours of the clock.

    The last of these is the current hour, which is not over.
    """

    last_hour: int
    last_day: int
    hourly: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnfinishedBackfill:
    """A backfill that is not finished. `done` is the part that was read, from 0 to 1; `running`: a run reads it now."""

    id: str
    start_ns: int
    end_ns: int
    done: float
    running: bool


class StoredEvent(NamedTuple):
    """One stored event; `body` is exactly what the server sent."""

    time_ns: int
    id: int
    api: str
    uuid: str
    received_ns: int
    body: str


def open_store(url: str | None = None) -> Engine:
    """Open the store of the environment, or of `url`. Raises ThirdPartyConfigError if an SQLite file does not exist."""
    url = url or settings.database_url()
    path = sqlite_path(url)
    if path and not Path(path).exists():
        raise ThirdPartyConfigError(
            f"There is no store yet at {path}.",
            hint="`onepassword-source apply FILE` makes a source, and `onepassword-source collect NAME` fills the "
            "store. A store elsewhere is named by ONEPASSWORD_SOURCE_DATABASE_URL.",
            code=NO_STORE,
        )
    engine = open_engine(url)
    try:
        schema.upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def opened_store() -> Iterator[Engine]:
    """`open_store` as a context manager that closes its connections at the end."""
    engine = open_store()
    try:
        yield engine
    finally:
        engine.dispose()


def sources(engine: Engine, name: str | None = None, *, with_deleted: bool = False) -> list[SourceStatus]:
    """All sources by name, deleted ones only `with_deleted`; or the source of that name, deleted or not.

    Raises ThirdPartyConfigError if there is no such source.
    """
    with store_errors(), reading(engine).connect() as connection:
        streams = connection.execute(_STREAMS, {"ahead": clock.now_ns() + AHEAD_NS}).all()
        found = connection.execute(text("SELECT * FROM sources ORDER BY name")).all()
        opened = connection.execute(_OPEN).all()
        recovered = {row[0]: row[1] for row in connection.execute(_RECOVERED)}
    parts = _Parts(_by_source(streams), _by_source(opened), recovered)
    known = [_source(row, parts) for row in found]
    live = [source for source in known if source.deleted_ns is None]
    if name is None:
        return known if with_deleted else live
    chosen = [source for source in known if source.name == name]
    if not chosen:
        names = ", ".join(source.name for source in live) or "none"
        raise ThirdPartyConfigError(
            f"There is no source named {name!r} in the store; there are: {names}.",
            hint="Create it with `onepassword-source apply FILE`.",
            code="unknown-source",
        )
    return chosen


def events(
    engine: Engine,
    streams: Sequence[StreamStatus],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Iterator[StoredEvent]:
    """The events of some streams by time, from `since_ns` to before `until_ns`; it holds a few thousand at once.

    It reads in batches, each a transaction of its own: an export of any length blocks no writer.
    """
    parts = [_of_stream(engine, stream, since_ns, until_ns) for stream in streams]
    return heapq.merge(*parts, key=lambda event: event.time_ns)


def newest_events(
    engine: Engine,
    streams: Sequence[StreamStatus],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Iterator[StoredEvent]:
    """`events`, the newest first: to get the last few, you need not read the rest."""
    parts = [_backwards(engine, stream, since_ns, until_ns) for stream in streams]
    return heapq.merge(*parts, key=lambda event: event.time_ns, reverse=True)


def last_ids(engine: Engine, streams: Sequence[StreamStatus]) -> dict[int, int]:
    """The id of the last event of each stream, by stream id; 0 if there is none. Ids rise in the order of storing."""
    with store_errors(), reading(engine).connect() as connection:
        return {one.id: connection.execute(_LAST_ID, {"stream": one.id}).scalar_one() for one in streams}


def events_after(engine: Engine, stream: StreamStatus, id_: int) -> list[StoredEvent]:
    """Events of a stream that were stored after the event with that id, by id; at most BATCH."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_AFTER, {"stream": stream.id, "id": id_, "batch": BATCH}).all()
    return [StoredEvent(row.time_ns, row.id, stream.api, row.uuid, row.received_ns, row.body) for row in rows]


def count(engine: Engine, streams: Sequence[StreamStatus], since_ns: int | None, until_ns: int | None) -> int:
    """How many events `events` will yield."""
    if since_ns is None and until_ns is None:
        return sum(stream.events for stream in streams)
    with store_errors(), reading(engine).connect() as connection:
        return sum(_between(connection, stream, _floor(since_ns), _ceiling(until_ns)) for stream in streams)


def event_counts(engine: Engine, streams: Iterable[StreamStatus], now_ns: int) -> dict[int, EventCounts]:
    """How many events of each stream happened in the last 24 hours, by stream id.

    It reads mostly the hourly counts, so the cost does not depend on the number of events, and takes two statements for
    up to VALUES_MAX streams.
    """
    ids = [stream.id for stream in streams]
    hour, day_ns = now_ns // HOUR_NS, now_ns - HOURS * HOUR_NS
    whole = -(-day_ns // HOUR_NS)  # the first hour that lies in the day as a whole
    times = {"day": day_ns, "whole": whole * HOUR_NS, "hour": now_ns - HOUR_NS, "now": now_ns}
    counts: dict[int, dict[int, int]] = {one: {} for one in ids}
    parts: dict[int, tuple[int, int]] = {}
    with store_errors(), reading(engine).connect() as connection:
        for start in range(0, len(ids), VALUES_MAX):
            some = ids[start : start + VALUES_MAX]
            for row in connection.execute(_HOURS, {"streams": some, "first": hour - HOURS, "last": hour}):
                counts[row.stream_id][row.hour] = row.events
            found = connection.execute(_PARTS, {"streams": some, **times})
            parts |= {row.id: (row.begun, row.last_hour) for row in found}
    return {
        one: EventCounts(
            last_hour=parts[one][1],
            last_day=parts[one][0] + sum(counts[one].get(each, 0) for each in range(whole, hour + 1)),
            hourly=tuple(counts[one].get(each, 0) for each in range(hour - HOURS + 1, hour + 1)),
        )
        for one in ids
    }


def unfinished_backfills(engine: Engine) -> dict[str, list[UnfinishedBackfill]]:
    """The backfills that are not finished, by the ids of their sources, the newest first."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_UNFINISHED).all()
        readers = connection.execute(_READERS, {"now": clock.now_ns()}).all()
    running = {one.job_id for one in readers if not claims.is_dead(one.holder_process, one.seen_ns)}
    found: dict[str, list[UnfinishedBackfill]] = {}
    for row in rows:
        done = float(row.done_ns / row.span_ns)
        backfill = UnfinishedBackfill(row.id, row.start_ns, row.end_ns, done, row.id in running)
        found.setdefault(row.source_id, []).append(backfill)
    return found


_UNFINISHED = text(
    "SELECT j.id, j.source_id, j.start_ns, j.end_ns, sum(w.end_ns - w.start_ns) AS span_ns, "
    "sum(CASE WHEN w.done_ns IS NULL THEN 0 ELSE w.end_ns - w.start_ns END) AS done_ns "
    "FROM jobs j JOIN windows w ON w.job_id = j.id "
    "WHERE j.kind = 'backfill' AND j.finished_ns IS NULL "
    "GROUP BY j.id, j.source_id, j.start_ns, j.end_ns, j.created_ns ORDER BY j.created_ns DESC"
)
_READERS = text(
    "SELECT w.job_id, w.holder_process, max(w.claim_renewed_ns) AS seen_ns "
    "FROM jobs j JOIN windows w ON w.job_id = j.id "
    "WHERE j.finished_ns IS NULL AND w.done_ns IS NULL AND w.claim_expires_ns > :now "
    "GROUP BY w.job_id, w.holder_process"
)
_STREAMS = text(
    "SELECT s.*, (SELECT count(*) FROM events e WHERE e.stream_id = s.id AND e.time_ns > :ahead) AS in_future "
    "FROM streams s ORDER BY s.id"
)
_OPEN = text(
    "SELECT c.source_id, c.tracker, c.name, c.severity, c.description, c.since_ns, "
    "(SELECT e.hint FROM health_events e WHERE e.source_id = c.source_id AND e.tracker = c.tracker "
    "AND e.status = 'UnHealthy' ORDER BY e.id DESC LIMIT 1) AS hint "
    "FROM conditions c ORDER BY c.severity, c.since_ns, c.tracker"  # Error stands before Warning
)
_RECOVERED = text(
    "SELECT source_id, max(time_ns) FROM health_events "
    "WHERE status = 'Healthy' AND (tracker = 'error' OR tracker LIKE 'error/%') GROUP BY source_id"
)
_HOURS = text(
    "SELECT stream_id, hour, events FROM hourly_counts WHERE stream_id IN :streams AND hour >= :first AND hour <= :last"
).bindparams(bindparam("streams", expanding=True))
_OF_STREAM = "(SELECT count(*) FROM events e WHERE e.stream_id = s.id AND e.time_ns >= {} AND e.time_ns < {})"
_PARTS = text(
    "SELECT s.id, "  # noqa: S608 - constants of this module
    f"{_OF_STREAM.format(':day', ':whole')} AS begun, {_OF_STREAM.format(':hour', ':now')} AS last_hour "
    "FROM streams s WHERE s.id IN :streams"
).bindparams(bindparam("streams", expanding=True))
_BETWEEN = text("SELECT count(*) FROM events WHERE stream_id = :stream AND time_ns >= :since AND time_ns < :until")
_FIRST, _LAST = -(2**63), 2**63 - 1
_BATCH = text(
    "SELECT time_ns, id, uuid, received_ns, body FROM events "
    "WHERE stream_id = :stream AND (time_ns, id) > (:time, :id) AND time_ns < :bound "
    "ORDER BY time_ns, id LIMIT :batch"
)

_BATCH_BACKWARDS = text(
    "SELECT time_ns, id, uuid, received_ns, body FROM events "
    "WHERE stream_id = :stream AND (time_ns, id) < (:time, :id) AND time_ns >= :bound "
    "ORDER BY time_ns DESC, id DESC LIMIT :batch"
)
_LAST_ID = text("SELECT coalesce(max(id), 0) FROM events WHERE stream_id = :stream")
_AFTER = text(
    "SELECT time_ns, id, uuid, received_ns, body FROM events WHERE stream_id = :stream AND id > :id "
    "ORDER BY id LIMIT :batch"
)


def _of_stream(
    engine: Engine, stream: StreamStatus, since_ns: int | None, until_ns: int | None
) -> Iterator[StoredEvent]:
    # (since, -1) sorts before every event of that time, because ids start at 1
    return _batches(engine, stream, _BATCH, (_floor(since_ns), -1), _ceiling(until_ns))


def _backwards(
    engine: Engine, stream: StreamStatus, since_ns: int | None, until_ns: int | None
) -> Iterator[StoredEvent]:
    return _batches(engine, stream, _BATCH_BACKWARDS, (_ceiling(until_ns), 0), _floor(since_ns))


def _batches(
    engine: Engine, stream: StreamStatus, query: TextClause, position: tuple[int, int], bound_ns: int
) -> Iterator[StoredEvent]:
    """The events of a stream behind a position (time and id) in the query's order, up to the bound."""
    fixed = {"stream": stream.id, "bound": bound_ns, "batch": BATCH}
    while True:
        with store_errors(), reading(engine).connect() as connection:
            batch = connection.execute(query, {**fixed, "time": position[0], "id": position[1]}).all()
        for time_ns, id_, uuid, received_ns, body in batch:
            yield StoredEvent(time_ns, id_, stream.api, uuid, received_ns, body)
        if len(batch) < BATCH:
            return
        position = (batch[-1].time_ns, batch[-1].id)


def _between(connection: Connection, stream: StreamStatus, since_ns: int, until_ns: int) -> int:
    parameters = {"stream": stream.id, "since": since_ns, "until": until_ns}
    return int(connection.execute(_BETWEEN, parameters).scalar_one())


def _floor(since_ns: int | None) -> int:
    return _FIRST if since_ns is None else since_ns


def _ceiling(until_ns: int | None) -> int:
    return _LAST if until_ns is None else until_ns


class _Parts(NamedTuple):
    """The rows that were read for all sources, by source id."""

    streams: Mapping[str, Sequence[Row[Any]]]
    opened: Mapping[str, Sequence[Row[Any]]]
    recovered: Mapping[str, int]


def _by_source(rows: Iterable[Row[Any]]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.source_id, []).append(row)
    return found


def _source(row: Row[Any], parts: _Parts) -> SourceStatus:
    apis = json.loads(row.apis)
    own = [stream for stream in parts.streams.get(row.id, ()) if stream.api in apis or stream.events]
    return SourceStatus(
        id=row.id,
        name=row.name,
        base_url=row.base_url,
        account_uuid=row.account_uuid,
        state=row.state,
        state_ns=row.state_ns,
        message=row.state_message,
        run_id=row.run_id,
        streams=tuple(_stream(stream, row.fingerprint) for stream in own),
        paused_ns=row.paused_ns,
        deleted_ns=row.deleted_ns,
        recovered_ns=max(filter(None, [parts.recovered.get(row.id), *(one.recovered_ns for one in own)]), default=None),
        open=tuple(_opened(one) for one in parts.opened.get(row.id, ())),
        apis=tuple(apis),
        token_expires_ns=row.token_expires_ns,
    )


def _opened(row: Row[Any]) -> OpenCondition:
    return OpenCondition(**{name: getattr(row, name) for name in OpenCondition.__dataclass_fields__})


def _stream(row: Row[Any], fingerprint: str) -> StreamStatus:
    return StreamStatus(
        id=row.id,
        api=row.api,
        events=row.events,
        quarantined=row.quarantined,
        newest_ns=None if row.newest_ns is None else min(row.newest_ns, clock.now_ns()),
        cursor_ns=row.cursor_ns,
        progress_ns=row.progress_ns,
        drained_ns=row.drained_ns,
        claim_expires_ns=None if claims.is_dead(row.holder_process, row.claim_renewed_ns) else row.claim_expires_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_message=row.error_message,
        stopped=row.stopped_fingerprint is not None and row.stopped_fingerprint == fingerprint,
        lag_ns=row.lag_ns,
        pruned=row.pruned,
        late=row.late,
        missed=row.missed,
        changed=row.changed,
        in_future=row.in_future,
        error_ns=row.error_ns,
        failed_attempts=row.failed_attempts,
    )
