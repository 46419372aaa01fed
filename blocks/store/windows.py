"""Windows of time that are read with cursors of their own, beside live collection: made, claimed, read to their end.

A job is cut into windows. Each is claimed for one run at a time, by compare-and-swap, under a claim that expires and is
fenced as a stream's is; so a job can be stopped, killed and resumed, and many processes can work on it at once.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, select, update

from blocks import clock
from blocks.errors import ClaimLostError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import found, pages, revisions
from blocks.store.engine import reading, store_errors, writing
from blocks.store.streams import lease, unclaimed
from blocks.store.tables import Job, Source, Stream, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine, Row, Select

    from blocks.events_api.models import Page
    from blocks.store.pages import Committed

BACKFILL, RECONCILE = "backfill", "reconcile"
WINDOWS_MAX = 20_000  # of one job: 120 days of three APIs by the hour are 8,640
PAGES_WANTED = 50  # of a window; one that is to have twice as many is cut, as long as it was not begun
FORGOTTEN_NS = 125 * 86_400 * 10**9  # 1Password keeps 120 days
SHORTEST_NS, LONGEST_NS = 60 * 10**9, 365 * 86_400 * 10**9

_jobs = Job.__table__  # type: ignore[attr-defined]
_sources = Source.__table__  # type: ignore[attr-defined]
_streams = Stream.__table__  # type: ignore[attr-defined]
_windows = Window.__table__  # type: ignore[attr-defined]
_NEVER_READ = _windows.c.begun_ns.is_(None) & _windows.c.holder.is_(None) & _windows.c.done_ns.is_(None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A span of a source's time, from `start_ns` to before `end_ns` (since 1970), of which some APIs are to be read."""

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


@dataclass(frozen=True, slots=True)
class WindowClaim:
    """The right to read a window. `holder` is the run that has it, `fence` makes older claims worthless."""

    id: int
    job_id: str
    kind: str
    stream_id: int
    api: Api
    start_ns: int
    end_ns: int
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """How far the reading of a window is."""

    cursor: str | None
    cursor_version: str | None
    restarts: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one API of a job is. `done_ns` and `span_ns` are lengths of time; `error` is why a window waits."""

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


def cut(start_ns: int, end_ns: int, width_ns: int) -> list[tuple[int, int]]:
    """The span from `start_ns` to before `end_ns` in parts of a width, the last one shorter where it must be."""
    return [(at, min(at + width_ns, end_ns)) for at in range(start_ns, end_ns, width_ns)]


def chosen(named: Iterable[str], configured: Iterable[Api]) -> tuple[Api, ...]:
    """The APIs that are asked for by name; all that the source collects where none is. Raises ThirdPartyConfigError."""
    named, configured = set(named), tuple(configured)
    if unknown := named - set(Api):
        known = ", ".join(Api)
        raise ThirdPartyConfigError(f"There is no API {min(unknown)!r}.", hint=f"There are {known}.", code="api")
    wanted = tuple(api for api in Api if api in named) or configured
    if missing := [api for api in wanted if api not in configured]:
        raise ThirdPartyConfigError(
            f"The source does not collect {', '.join(missing)}.",
            hint="Add it to supported_apis of the source, and apply it.",
            code="api",
        )
    return wanted


def spans_of(wanted: Wanted, width_ns: int) -> list[tuple[int, int]]:
    """What each API of a job is cut into. Raises ThirdPartyConfigError where it makes more than WINDOWS_MAX windows."""
    number = -(-(wanted.end_ns - wanted.start_ns) // width_ns) * len(wanted.apis)
    if number > WINDOWS_MAX:
        raise ThirdPartyConfigError(
            f"That makes {number:,} windows; at most {WINDOWS_MAX:,} are kept.",
            hint="Use longer windows: dense ones are cut by themselves.",
            code="windows",
        )
    return cut(wanted.start_ns, wanted.end_ns, width_ns)


def begin(engine: Engine, wanted: Wanted, width_ns: int, ends_ns: Mapping[Api, int] | None = None) -> JobView:
    """Make a job with its windows; one of the same kind, source, APIs and span that is not finished goes on instead.

    `ends_ns`: where the windows of an API are to end before the span does.
    Raises ThirdPartyConfigError where it would have more than WINDOWS_MAX windows.
    """
    spans = spans_of(wanted, width_ns)
    same = {**asdict(wanted), "apis": msgspec.json.encode(sorted(wanted.apis)).decode()}
    ends = dict.fromkeys(wanted.apis, wanted.end_ns) | dict(ends_ns or {})
    open_one = select(_jobs).filter_by(**same).where(_jobs.c.finished_ns.is_(None))
    with writing(engine) as connection:
        if under_way := connection.execute(open_one).first():
            return _job(under_way)
        _forget_old(connection, wanted.source_id)
        ids = _stream_ids(connection, wanted.source_id)
        row = {**same, "id": uuid.uuid4().hex, "created_ns": clock.now_ns(), "finished_ns": None}
        connection.execute(_jobs.insert().values(row))
        made = [
            {"job_id": row["id"], "stream_id": ids[api], "start_ns": start, "end_ns": min(end, ends[api])}
            for start, end in spans
            for api in wanted.apis
            if start < ends[api]
        ]
        connection.execute(_windows.insert(), made)
        return _job(connection.execute(select(_jobs).where(_jobs.c.id == row["id"])).one())


def find(engine: Engine, job_id: str) -> JobView:
    """A job. Raises ThirdPartyConfigError where there is none of that id."""
    with store_errors(), reading(engine).connect() as connection:
        found = connection.execute(select(_jobs).where(_jobs.c.id == job_id)).first()
    if found is None:
        raise ThirdPartyConfigError(f"There is no backfill {job_id!r} in the store.", code="unknown-job")
    return _job(found)


def unfinished(engine: Engine, source_id: str, kind: str = BACKFILL) -> list[JobView]:
    """The jobs of a source that are not finished, the newest first."""
    asked = select(_jobs).where(_jobs.c.source_id == source_id, _jobs.c.kind == kind, _jobs.c.finished_ns.is_(None))
    with store_errors(), reading(engine).connect() as connection:
        return [_job(row) for row in connection.execute(asked.order_by(_jobs.c.created_ns.desc()))]


def take(engine: Engine, job_id: str, holder: str) -> WindowClaim | None:
    """Claim the oldest window that nobody reads and that is not done, since 1Password drops the oldest first.

    None where there is none at present (see `progress`), or the source was deleted.
    """
    now_ns = clock.now_ns()
    free = unclaimed(_windows, now_ns)
    kept = select(_sources.c.id).join(_streams, _streams.c.source_id == _sources.c.id)
    kept = kept.where(_streams.c.id == _windows.c.stream_id, _sources.c.deleted_ns.is_(None))
    next_one = (
        select(_windows.c.id)
        .where(_windows.c.job_id == job_id, _windows.c.done_ns.is_(None), free, kept.exists())
        .order_by(_windows.c.start_ns, _windows.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = update(_windows).values(holder=holder, fence=_windows.c.fence + 1, **lease(now_ns))
    with writing(engine) as connection:
        window_id = connection.scalar(next_one)
        if window_id is None:
            return None
        row = connection.execute(taken.where(_windows.c.id == window_id, free).returning(_windows)).first()
        return None if row is None else _claim(connection, row)


def view(engine: Engine, claim: WindowClaim) -> WindowView:
    """Where the reading of a window stands. Raises ClaimLostError where another run has it now."""
    asked = select(_windows.c.cursor, _windows.c.cursor_version, _windows.c.restarts)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(asked.where(_held(claim))).first()
    if row is None:
        raise _lost()
    return WindowView(*row)


def renew(engine: Engine, claim: WindowClaim, *, for_seconds: float = 0, error: str | None = None) -> None:
    """Keep the claim for a wait of `for_seconds` and the attempt after it, and note what it waits for."""
    with writing(engine) as connection:
        _write(connection, claim, error=error, **lease(clock.now_ns(), int(for_seconds * 10**9)))


def release(engine: Engine, claim: WindowClaim, error: str | None = None) -> None:
    """Give a window back that is not read to its end; whoever takes it goes on from its cursor."""
    with writing(engine) as connection:
        connection.execute(update(_windows).where(_held(claim)).values(holder=None, holder_until_ns=None, error=error))


def begin_anew(engine: Engine, claim: WindowClaim) -> None:
    """Forget the cursor of a window, which the server refuses."""
    with writing(engine) as connection:
        _write(connection, claim, cursor=None, cursor_version=None, restarts=_windows.c.restarts + 1)


def commit_page(
    engine: Engine, claim: WindowClaim, page: Page, *, after: str | None, api_version: str, last: bool
) -> Committed:
    """Store a page's events and move the window's cursor, in one transaction; `last`: the window is done with it.

    The stream's own cursor, claim and errors stay as they are. Raises ClaimLostError where the claim was taken away or
    the cursor is no longer at `after`, FirstPartyGenericError; either way nothing of the page is stored.
    """
    prepared = pages.prepare(page, claim.api, api_version)
    is_compared = claim.kind == RECONCILE and page.events
    differing = revisions.differing(engine, claim.stream_id, page.events, api_version) if is_compared else []
    with writing(engine) as connection:
        stream = _write_stream(connection, claim.stream_id, page)
        _move_cursor(connection, claim, page, after, api_version)
        committed, new = pages.put(connection, stream, prepared)
        if new and claim.kind == RECONCILE:
            found.mark(connection, stream, new)
        changed = revisions.keep(connection, stream, differing, api_version) if differing else 0
        values: dict[str, Any] = {
            "changed": _windows.c.changed + changed,
            "new": _windows.c.new + committed.new,
            "known": _windows.c.known + committed.known,
            "quarantined": _windows.c.quarantined + committed.quarantined,
        }
        if last:
            values |= {"done_ns": clock.now_ns(), "holder": None, "holder_until_ns": None}
        connection.execute(update(_windows).where(_windows.c.id == claim.id).values(values))
        if last:
            _finish(connection, claim.job_id)
    return committed


def fit(engine: Engine, job_id: str, page_size: int) -> int:
    """Cut windows that were not begun and will be long, going by how dense those of their stream proved to be.

    Returns how many windows there are more. Those that were begun stay whole: the order of their events is not known.
    Most times there is nothing to cut, and then nothing is locked.
    """
    with store_errors(), reading(engine).connect() as connection:
        wanted = _lengths_wanted(connection, job_id, page_size)
        if not any(connection.execute(_longer(job_id, *one).limit(1)).first() for one in wanted):
            return 0
    more = 0
    with writing(engine) as connection:
        total = connection.scalar(select(func.count()).where(_windows.c.job_id == job_id)) or 0
        for stream_id, wanted_ns in wanted:
            more += _cut_longer(connection, job_id, stream_id, wanted_ns, WINDOWS_MAX - total - more)
    return more


def _lengths_wanted(connection: Connection, job_id: str, page_size: int) -> list[tuple[int, int]]:
    """How long a window of each stream should be, in ns, where one of them is done."""
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


def progress(engine: Engine, job_id: str) -> list[Progress]:
    """How far each API of a job is."""
    c, now_ns = _windows.c, clock.now_ns()
    is_done = c.done_ns.is_not(None)
    span_ns = c.end_ns - c.start_ns
    asked = (
        select(
            _streams.c.api,
            func.count(),
            func.count().filter(is_done),
            func.count().filter(c.holder_until_ns >= now_ns),
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
        .where(c.job_id == job_id)
        .group_by(_streams.c.api)
    )
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(asked).all()
    found = {row.api: _progress(row) for row in rows}
    return [found[api] for api in Api if api in found]


def _progress(row: Row[Any]) -> Progress:
    api, *numbers, error = row
    windows, done, held, done_ns, span_ns, *counts = map(int, numbers)  # sums may be decimals
    read, new, known, quarantined, changed = counts
    return Progress(Api(api), windows, done, held, done_ns, span_ns, read, new, known, quarantined, changed, error)


def _longer(job_id: str, stream_id: int, wanted_ns: int) -> Select[Any]:
    """Windows that are to be cut."""
    return select(_windows.c.id, _windows.c.start_ns, _windows.c.end_ns).where(
        _windows.c.job_id == job_id,
        _windows.c.stream_id == stream_id,
        _NEVER_READ,
        _windows.c.end_ns - _windows.c.start_ns > 2 * wanted_ns,
    )


def _cut_longer(connection: Connection, job_id: str, stream_id: int, wanted_ns: int, room: int) -> int:
    more = 0
    for row in connection.execute(_longer(job_id, stream_id, wanted_ns)).all():
        span_ns = row.end_ns - row.start_ns
        parts = cut(row.start_ns, row.end_ns, ceil(span_ns / ceil(span_ns / wanted_ns)))
        if more + len(parts) - 1 > room:
            break
        shorter = update(_windows).where(_windows.c.id == row.id, _NEVER_READ).values(end_ns=parts[0][1])
        if connection.execute(shorter.returning(_windows.c.id)).first():
            others = [{"start_ns": start, "end_ns": end} for start, end in parts[1:]]
            connection.execute(_windows.insert().values(job_id=job_id, stream_id=stream_id), others)
            more += len(others)
    return more


def _write_stream(connection: Connection, stream_id: int, page: Page) -> Row[Any]:
    """The stream's row is the first that its writers write, so that ids rise in commit order within a stream."""
    newest_ns = max((event.time_ns for event in page.events), default=None)
    newest = _streams.c.newest_ns if newest_ns is None else pages.later(connection, newest_ns)
    written = update(_streams).where(_streams.c.id == stream_id).values(newest_ns=newest)
    if (row := connection.execute(written.returning(_streams)).first()) is None:  # its source was purged
        raise _lost()
    return row


def _move_cursor(connection: Connection, claim: WindowClaim, page: Page, after: str | None, api_version: str) -> None:
    now_ns = clock.now_ns()
    moved = (
        update(_windows)
        .where(_held(claim), _windows.c.cursor.is_not_distinct_from(after), _windows.c.done_ns.is_(None))
        .values(
            cursor=page.cursor,
            cursor_version=api_version,
            begun_ns=func.coalesce(_windows.c.begun_ns, now_ns),
            pages=_windows.c.pages + 1,
            error=None,
            **lease(now_ns),
        )
    )
    if connection.execute(moved.returning(_windows.c.id)).first() is None:
        raise _lost()


def _forget_old(connection: Connection, source_id: str) -> None:
    """Jobs of times that 1Password no longer has: there is nothing to read of them, and nothing to show."""
    old = select(_jobs.c.id).where(_jobs.c.source_id == source_id, _jobs.c.end_ns < clock.now_ns() - FORGOTTEN_NS)
    connection.execute(delete(_windows).where(_windows.c.job_id.in_(old)))
    connection.execute(delete(_jobs).where(_jobs.c.id.in_(old)))


def _finish(connection: Connection, job_id: str) -> None:
    left = select(_windows.c.id).where(_windows.c.job_id == job_id, _windows.c.done_ns.is_(None)).exists()
    connection.execute(update(_jobs).where(_jobs.c.id == job_id, ~left).values(finished_ns=clock.now_ns()))


def _write(connection: Connection, claim: WindowClaim, **values: Any) -> None:
    written = update(_windows).where(_held(claim)).values(values).returning(_windows.c.id)
    if connection.execute(written).first() is None:
        raise _lost()


def _held(claim: WindowClaim) -> Any:
    return (_windows.c.id == claim.id) & (_windows.c.holder == claim.holder) & (_windows.c.fence == claim.fence)


def _lost() -> ClaimLostError:
    return ClaimLostError("Another run has taken this window over; it goes on from the last page that was stored.")


def _claim(connection: Connection, row: Row[Any]) -> WindowClaim:
    api = connection.scalar(select(_streams.c.api).where(_streams.c.id == row.stream_id))
    kind = connection.scalar(select(_jobs.c.kind).where(_jobs.c.id == row.job_id))
    return WindowClaim(
        row.id, row.job_id, str(kind), row.stream_id, Api(str(api)), row.start_ns, row.end_ns, row.holder, row.fence
    )


def _stream_ids(connection: Connection, source_id: str) -> dict[Api, int]:
    asked = select(_streams.c.api, _streams.c.id).where(_streams.c.source_id == source_id)
    return {Api(row.api): row.id for row in connection.execute(asked)}


def _job(row: Row[Any]) -> JobView:
    apis = tuple(Api(api) for api in msgspec.json.decode(row.apis))
    return JobView(row.id, row.kind, row.source_id, row.start_ns, row.end_ns, apis, row.created_ns, row.finished_ns)
