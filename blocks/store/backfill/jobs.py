"""Jobs: a span of a source's time that is read again, split into windows; and their progress."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import case, delete, func, select, update
from whenever import Instant

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import audit_log, claims
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import JobRow, SourceRow, StreamRow, WindowRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine, Row, Select

BACKFILL, RECONCILE = "backfill", "reconcile"
WINDOWS_MAX = 20_000  # of one job: 120 days of three APIs by the hour are 8,640
PAGES_WANTED = 50  # of a window; one that would have twice as many is split, unless it was begun
FORGOTTEN_NS = 125 * 86_400 * 10**9  # 1Password keeps 120 days
SHORTEST_NS, LONGEST_NS = 60 * 10**9, 365 * 86_400 * 10**9

_jobs = table_of(JobRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)
_windows = table_of(WindowRow)
_NEVER_READ = _windows.c.begun_ns.is_(None) & _windows.c.holder.is_(None) & _windows.c.done_ns.is_(None)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A span of a source's time, from `start_ns` to before `end_ns` (since 1970), to read for some APIs."""

    kind: str
    source_id: str
    apis: tuple[Api, ...]
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as the store has it. Times are nanoseconds since 1970; the span is from `start_ns` to before `end_ns`."""

    id: str
    kind: str
    source_id: str
    start_ns: int
    end_ns: int
    apis: tuple[Api, ...]
    created_ns: int
    finished_ns: int | None
    paused_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ApiProgress:
    """The progress of one API of a job. `done_ns` and `span_ns` are durations; `error` is why a window waits."""

    api: Api
    windows: int
    done: int
    held: int
    done_ns: int
    span_ns: int
    pages: int
    new: int
    known: int
    quarantined: int
    changed: int
    error: str | None

    @property
    def read(self) -> int:
        return self.new + self.known

    @property
    def finished(self) -> bool:
        return self.done == self.windows


def split(start_ns: int, end_ns: int, width_ns: int) -> list[tuple[int, int]]:
    """The span from `start_ns` to before `end_ns` in parts of `width_ns`; the last one may be shorter."""
    return [(at, min(at + width_ns, end_ns)) for at in range(start_ns, end_ns, width_ns)]


def choose_apis(names: Iterable[str], configured: Iterable[Api]) -> tuple[Api, ...]:
    """The requested APIs, or all that the source collects if none is named. Raises ThirdPartyConfigError."""
    names, configured = set(names), tuple(configured)
    if unknown := names - set(Api):
        known = ", ".join(Api)
        raise ThirdPartyConfigError(f"There is no API {min(unknown)!r}.", hint=f"There are {known}.", code="api")
    chosen = tuple(api for api in Api if api in names) or configured
    if missing := [api for api in chosen if api not in configured]:
        raise ThirdPartyConfigError(
            f"The source does not collect {', '.join(missing)}.",
            hint="Add it to supported_apis in the source's file, and `onepassword-source apply FILE`.",
            code="api",
        )
    return chosen


def spans_of(job: JobRequest, width_ns: int) -> list[tuple[int, int]]:
    """The windows of each API of a job. Raises ThirdPartyConfigError for more than WINDOWS_MAX windows."""
    number = -(-(job.end_ns - job.start_ns) // width_ns) * len(job.apis)
    if number > WINDOWS_MAX:
        raise ThirdPartyConfigError(
            f"That makes {number:,} windows; at most {WINDOWS_MAX:,} are kept.",
            hint="Use longer windows: dense ones are cut by themselves.",
            code="windows",
        )
    return split(job.start_ns, job.end_ns, width_ns)


def start(engine: Engine, job: JobRequest, width_ns: int, ends_ns: Mapping[Api, int] | None = None) -> JobView:
    """Create a job with its windows, or resume the unfinished job of the same kind, source, APIs and span.

    `ends_ns`: by API, where its windows end if that is before the end of the span.
    Raises ThirdPartyConfigError for more than WINDOWS_MAX windows.
    """
    spans = spans_of(job, width_ns)
    same = {**asdict(job), "apis": msgspec.json.encode(sorted(job.apis)).decode()}
    ends = dict.fromkeys(job.apis, job.end_ns) | dict(ends_ns or {})
    open_one = select(_jobs).filter_by(**same).where(_jobs.c.finished_ns.is_(None))
    with writing(engine) as connection:
        # A process that starts the same job waits here, then finds it: a statement sees what was committed before it.
        connection.execute(select(_sources.c.id).where(_sources.c.id == job.source_id).with_for_update(key_share=True))
        if under_way := connection.execute(open_one).first():
            found = _job(under_way)
            _resume(connection, found)
            return replace(found, paused_ns=None)
        _delete_old(connection, job.source_id)
        ids = _stream_ids(connection, job.source_id)
        row = {**same, "id": uuid.uuid4().hex, "created_ns": clock.now_ns(), "finished_ns": None}
        connection.execute(_jobs.insert().values(row))
        made = [
            {"job_id": row["id"], "stream_id": ids[api], "start_ns": start, "end_ns": min(end, ends[api])}
            for start, end in spans
            for api in job.apis
            if start < ends[api]
        ]
        connection.execute(_windows.insert(), made)
        created = find_within(connection, row["id"])
        if created.kind == BACKFILL:  # reconcile runs every day
            _record(connection, "backfill", created)
        return created


def find(engine: Engine, job_id: str) -> JobView:
    """The job with that id. Raises ThirdPartyConfigError if there is none."""
    with store_errors(), reading(engine).connect() as connection:
        return find_within(connection, job_id)


def find_within(connection: Connection, job_id: str) -> JobView:
    """`find` within a transaction."""
    found = connection.execute(select(_jobs).where(_jobs.c.id == job_id)).first()
    if found is None:
        raise ThirdPartyConfigError(
            f"There is no backfill {job_id!r} in the store.",
            hint="`onepassword-source status NAME` shows those that are not finished.",
            code="unknown-job",
        )
    return _job(found)


def unfinished(engine: Engine, source_id: str, kind: str = BACKFILL) -> list[JobView]:
    """The jobs of a source that are not finished, the newest first."""
    query = select(_jobs).where(_jobs.c.source_id == source_id, _jobs.c.kind == kind, _jobs.c.finished_ns.is_(None))
    with store_errors(), reading(engine).connect() as connection:
        return [_job(row) for row in connection.execute(query.order_by(_jobs.c.created_ns.desc()))]


def newest(engine: Engine, number: int) -> list[JobView]:
    """The jobs of all sources: backfills that are not finished, then all others, `number` in all, newest first."""
    query = select(_jobs).join(_sources, (_sources.c.id == _jobs.c.source_id) & _sources.c.deleted_ns.is_(None))
    is_over = case(((_jobs.c.kind == BACKFILL) & _jobs.c.finished_ns.is_(None), 0), else_=1)
    order = (is_over, _jobs.c.created_ns.desc())
    with store_errors(), reading(engine).connect() as connection:
        return [_job(row) for row in connection.execute(query.order_by(*order).limit(number))]


def set_paused(engine: Engine, job: JobView, *, paused: bool) -> bool:
    """Pause or resume a job. Returns whether that was a change. Its runs end after their current page."""
    with writing(engine) as connection:
        if not paused:
            return _resume(connection, job)
        pause = update(_jobs).where(_jobs.c.id == job.id, _jobs.c.paused_ns.is_(None), _jobs.c.finished_ns.is_(None))
        changed = connection.execute(pause.values(paused_ns=clock.now_ns())).rowcount
        if changed:
            _record(connection, f"{job.kind} pause", job)
        return bool(changed)


def is_paused(engine: Engine, job_id: str) -> bool:
    """Read from the store whether the job is paused."""
    query = select(_jobs.c.paused_ns).where(_jobs.c.id == job_id)
    with store_errors(), reading(engine).connect() as connection:
        return connection.scalar(query) is not None


def split_dense(engine: Engine, job_id: str, page_size: int) -> int:
    """Split long windows that were not begun, by the density of the windows of their stream that are done.

    Returns how many windows were added. Windows that were begun stay whole, because the order of their events is not
    known. Usually there is nothing to split, and then nothing is locked.
    """
    with store_errors(), reading(engine).connect() as connection:
        wanted = _lengths_wanted(connection, job_id, page_size)
        if not any(connection.execute(_longer(job_id, *one).limit(1)).first() for one in wanted):
            return 0
    more = 0
    with writing(engine) as connection:
        total = connection.scalar(select(func.count()).where(_windows.c.job_id == job_id)) or 0
        for stream_id, wanted_ns in wanted:
            more += _split_longer(connection, job_id, stream_id, wanted_ns, WINDOWS_MAX - total - more)
    return more


def progress(engine: Engine, job_id: str) -> list[ApiProgress]:
    """The progress of each API of a job."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_progress_of(connection, job_id)).all()
    found = {row.api: _progress(row) for row in rows}
    return [found[api] for api in Api if api in found]


def _progress_of(connection: Connection, job_id: str) -> Select[Any]:
    c = _windows.c
    of_job, is_done = c.job_id == job_id, c.done_ns.is_not(None)
    span_ns = c.end_ns - c.start_ns
    return (
        select(
            _streams.c.api,
            func.count(),
            func.count().filter(is_done),
            func.count().filter(claims.is_held(connection, _windows, clock.now_ns(), of_job)),
            func.coalesce(func.sum(span_ns).filter(is_done), 0),
            func.sum(span_ns),
            func.sum(c.pages),
            func.sum(c.new),
            func.sum(c.known),
            func.sum(c.quarantined),
            func.sum(c.changed),
            func.max(c.error).filter(~is_done),
        )
        .join(_streams, _streams.c.id == c.stream_id)
        .where(of_job)
        .group_by(_streams.c.api)
    )


def _progress(row: Row[Any]) -> ApiProgress:
    api, *numbers, error = row
    windows, done, held, done_ns, span_ns, *counts = map(int, numbers)  # sums may be decimals
    read, new, known, quarantined, changed = counts
    return ApiProgress(Api(api), windows, done, held, done_ns, span_ns, read, new, known, quarantined, changed, error)


def _lengths_wanted(connection: Connection, job_id: str, page_size: int) -> list[tuple[int, int]]:
    """The stream id and the wanted length of its windows, in ns, for each stream that has a window that is done."""
    measured = select(
        _windows.c.stream_id,
        func.sum(_windows.c.new + _windows.c.known).label("events"),
        func.sum(_windows.c.end_ns - _windows.c.start_ns).label("span_ns"),
    ).where(_windows.c.job_id == job_id, _windows.c.done_ns.is_not(None))
    wanted: list[tuple[int, int]] = []
    for row in connection.execute(measured.group_by(_windows.c.stream_id)).all():
        length_ns = min(int(row.span_ns * PAGES_WANTED * page_size // max(row.events, 1)), LONGEST_NS)
        wanted.append((row.stream_id, max(length_ns, SHORTEST_NS)))
    return wanted


def _longer(job_id: str, stream_id: int, wanted_ns: int) -> Select[Any]:
    """The windows to split."""
    return select(_windows.c.id, _windows.c.start_ns, _windows.c.end_ns).where(
        _windows.c.job_id == job_id,
        _windows.c.stream_id == stream_id,
        _NEVER_READ,
        _windows.c.end_ns - _windows.c.start_ns > 2 * wanted_ns,
    )


def _split_longer(connection: Connection, job_id: str, stream_id: int, wanted_ns: int, room: int) -> int:
    more = 0
    for row in connection.execute(_longer(job_id, stream_id, wanted_ns)).all():
        span_ns = row.end_ns - row.start_ns
        parts = split(row.start_ns, row.end_ns, ceil(span_ns / ceil(span_ns / wanted_ns)))
        if more + len(parts) - 1 > room:
            break
        # Skip it if another run has split it since it was read.
        shorter = update(_windows).where(_windows.c.id == row.id, _windows.c.end_ns == row.end_ns, _NEVER_READ)
        if connection.execute(shorter.values(end_ns=parts[0][1]).returning(_windows.c.id)).first():
            others = [{"start_ns": start, "end_ns": end} for start, end in parts[1:]]
            connection.execute(_windows.insert().values(job_id=job_id, stream_id=stream_id), others)
            more += len(others)
    return more


def _resume(connection: Connection, job: JobView) -> bool:
    """True if the job was paused."""
    resume = update(_jobs).where(_jobs.c.id == job.id, _jobs.c.paused_ns.is_not(None))
    changed = connection.execute(resume.values(paused_ns=None)).rowcount
    if changed:
        _record(connection, f"{job.kind} resume", job)
    return bool(changed)


def _record(connection: Connection, action: str, job: JobView) -> None:
    name = connection.scalar(select(_sources.c.name).where(_sources.c.id == job.source_id))
    start, end = (Instant.from_timestamp(ns, unit="nanosecond").format_iso() for ns in (job.start_ns, job.end_ns))
    audit_log.record(
        connection, action, job.source_id, str(name), job=job.id, start=start, end=end, apis=", ".join(job.apis)
    )


def _delete_old(connection: Connection, source_id: str) -> None:
    """Delete jobs for times that 1Password no longer keeps: they have nothing left to read or to show."""
    old = select(_jobs.c.id).where(_jobs.c.source_id == source_id, _jobs.c.end_ns < clock.now_ns() - FORGOTTEN_NS)
    connection.execute(delete(_windows).where(_windows.c.job_id.in_(old)))
    connection.execute(delete(_jobs).where(_jobs.c.id.in_(old)))


def _stream_ids(connection: Connection, source_id: str) -> dict[Api, int]:
    query = select(_streams.c.api, _streams.c.id).where(_streams.c.source_id == source_id)
    return {Api(row.api): row.id for row in connection.execute(query)}


def _job(row: Row[Any]) -> JobView:
    apis = tuple(Api(api) for api in msgspec.json.decode(row.apis))
    times = (row.start_ns, row.end_ns, apis, row.created_ns, row.finished_ns, row.paused_ns)
    return JobView(row.id, row.kind, row.source_id, *times)
