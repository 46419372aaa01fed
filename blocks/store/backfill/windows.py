"""Windows of time that are read with cursors of their own, beside live collection.

A job is split into windows. One run at a time claims a window, by compare-and-swap; the claim expires and is fenced
like a stream's. So a job can be stopped, killed and resumed, and many processes can work on it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from blocks import clock
from blocks.errors import ClaimLostError
from blocks.events_api.models import Api
from blocks.health import WARNING, Condition, tracker_of
from blocks.store import claims, health, late_or_missed, pages
from blocks.store.backfill.jobs import RECONCILE
from blocks.store.claims import RELEASE_VALUES, renew_values
from blocks.store.engine import reading, store_errors, writing
from blocks.store.streams import is_source_deleted
from blocks.store.tables import JobRow, SourceRow, StreamRow, WindowRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row

    from blocks.errors import SourceError
    from blocks.events_api.models import Page
    from blocks.store.pages import PageCounts, PreparedPage


_jobs = table_of(JobRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)
_windows = table_of(WindowRow)


@dataclass(frozen=True, slots=True)
class WindowClaim:
    """The right to read a window. `holder` is the run that has it, a claim with a lower `fence` cannot write."""

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
    """How far a window was read."""

    cursor: str | None
    cursor_version: str | None
    restarts: int


def acquire(engine: Engine, job_id: str, holder: str) -> WindowClaim | None:
    """Claim the oldest window that is neither done nor claimed: 1Password drops the oldest events first.

    None if there is none now (see `jobs.progress`), or the source was deleted. A claim whose process is known to be
    dead does not count.
    """
    now_ns, of_job = clock.now_ns(), _windows.c.job_id == job_id
    live = select(_sources.c.id).join(_streams, _streams.c.source_id == _sources.c.id)
    live = live.where(_streams.c.id == _windows.c.stream_id, _sources.c.deleted_ns.is_(None))
    next_one = (
        select(_windows.c.id)
        .where(of_job, _windows.c.done_ns.is_(None), live.exists())
        .order_by(_windows.c.start_ns, _windows.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = update(_windows).values(claims.acquire_values(_windows, holder, now_ns))
    with writing(engine) as connection:
        free = claims.is_free(connection, _windows, now_ns, of_job)
        window_id = connection.scalar(next_one.where(free))
        if window_id is None:
            return None
        row = connection.execute(taken.where(_windows.c.id == window_id, free).returning(_windows)).first()
        if row is None:
            return None
        if is_source_deleted(connection, row.stream_id):  # deleted since the query above
            connection.execute(update(_windows).where(_windows.c.id == window_id).values(RELEASE_VALUES))
            return None
        return _claim(connection, row)


def get(engine: Engine, claim: WindowClaim) -> WindowView:
    """The state of a window. Raises ClaimLostError if another run has it now."""
    query = select(_windows.c.cursor, _windows.c.cursor_version, _windows.c.restarts)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(query.where(_held(claim))).first()
    if row is None:
        raise _lost()
    return WindowView(*row)


def renew(engine: Engine, claim: WindowClaim, *, for_seconds: float = 0, error: str | None = None) -> None:
    """Keep the claim for a wait of `for_seconds` and the attempt after it, and record the error that it waits for."""
    with writing(engine) as connection:
        _write(connection, claim, error=error, **renew_values(clock.now_ns(), int(for_seconds * 10**9)))


def release(engine: Engine, claim: WindowClaim, error: str | None = None) -> None:
    """Release a window that is not done; the next run that claims it continues from its cursor."""
    with writing(engine) as connection:
        connection.execute(update(_windows).where(_held(claim)).values(**RELEASE_VALUES, error=error))


def stop(engine: Engine, claim: WindowClaim, error: SourceError) -> None:
    """Release a window after the last retry, and report it: live collection continues and does not show the error.

    If the claim was lost meanwhile, nothing is reported.
    """
    with writing(engine) as connection:
        still = (_windows.c.id == claim.id) & (
            _windows.c.fence == claim.fence
        )  # without the holder: a done window has none
        released = update(_windows).where(still).values(**RELEASE_VALUES, error=str(error)).returning(_windows.c.id)
        if connection.execute(released).first() is not None:
            source_id = connection.scalar(select(_streams.c.source_id).where(_streams.c.id == claim.stream_id))
            health.begin(connection, str(source_id), _not_read(claim, error))


def restart(engine: Engine, claim: WindowClaim) -> None:
    """Drop the cursor of a window after the server rejected it."""
    with writing(engine) as connection:
        _write(connection, claim, cursor=None, cursor_version=None, restarts=_windows.c.restarts + 1)


def commit_page(
    engine: Engine, claim: WindowClaim, page: Page, *, after: str | None, api_version: str, last: bool
) -> PageCounts:
    """Store a page's events and move the window's cursor, in one transaction; `last`: the window is done with it.

    The stream's own cursor, claim and errors stay as they are. Raises ClaimLostError if the claim was revoked or the
    cursor is no longer at `after`, and FirstPartyGenericError if the database fails; then nothing is stored.
    """
    return commit_prepared(engine, claim, pages.prepare(page, claim.api, api_version), after=after, last=last)


def commit_prepared(
    engine: Engine, claim: WindowClaim, prepared: PreparedPage, *, after: str | None, last: bool
) -> PageCounts:
    """`commit_page` for a page that the reading thread has already prepared."""
    page, api_version = prepared.page, prepared.api_version
    with writing(engine) as connection:
        stream = _write_stream(connection, claim.stream_id)
        _move_cursor(connection, claim, page, after, api_version)
        committed, new = pages.insert_page(connection, stream, prepared)
        if new and claim.kind == RECONCILE:
            late_or_missed.record_unseen(connection, stream, new)
        values: dict[str, Any] = {
            "changed": _windows.c.changed + committed.changed,
            "new": _windows.c.new + committed.new,
            "known": _windows.c.known + committed.known,
            "quarantined": _windows.c.quarantined + committed.quarantined,
        }
        if last:
            values |= {"done_ns": clock.now_ns(), **RELEASE_VALUES}
        connection.execute(update(_windows).where(_windows.c.id == claim.id).values(values))
        if last:
            _finish(connection, claim.job_id)
            over = f"The {claim.kind} of {claim.api} reads again."
            health.end(connection, stream.source_id, tracker_of(claim.kind, claim.api), over, claim.api)
    return committed


def _write_stream(connection: Connection, stream_id: int) -> Row[Any]:
    """Write the stream's row before anything else, so that ids rise in commit order within a stream."""
    written = update(_streams).where(_streams.c.id == stream_id).values(newest_ns=_streams.c.newest_ns)
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
            **renew_values(now_ns),
        )
    )
    if connection.execute(moved.returning(_windows.c.id)).first() is None:
        raise _lost()


def _finish(connection: Connection, job_id: str) -> None:
    """Finish the job if no window is left.

    Its last two windows may end at once: the second waits for the row lock until the first is committed, and sees it.
    """
    connection.execute(select(_jobs.c.id).where(_jobs.c.id == job_id).with_for_update(key_share=True))
    left = select(_windows.c.id).where(_windows.c.job_id == job_id, _windows.c.done_ns.is_(None)).exists()
    connection.execute(update(_jobs).where(_jobs.c.id == job_id, ~left).values(finished_ns=clock.now_ns()))


def _write(connection: Connection, claim: WindowClaim, **values: Any) -> None:
    written = update(_windows).where(_held(claim)).values(values).returning(_windows.c.id)
    if connection.execute(written).first() is None:
        raise _lost()


def _held(claim: WindowClaim) -> Any:
    return (_windows.c.id == claim.id) & (_windows.c.holder == claim.holder) & (_windows.c.fence == claim.fence)


def _not_read(claim: WindowClaim, error: SourceError) -> Condition:
    return Condition(
        tracker_of(claim.kind, claim.api),
        error.name,
        WARNING,
        f"A {claim.kind} of {claim.api} has failed: {error.message}",
        claim.api,
        value=error.name,
        error_type=error.name,
        error_code=error.code or None,
        hint=error.hint or None,
    )


def _lost() -> ClaimLostError:
    return ClaimLostError("Another run has taken this window over; it goes on from the last page that was stored.")


def _claim(connection: Connection, row: Row[Any]) -> WindowClaim:
    api = connection.scalar(select(_streams.c.api).where(_streams.c.id == row.stream_id))
    kind = connection.scalar(select(_jobs.c.kind).where(_jobs.c.id == row.job_id))
    return WindowClaim(
        row.id, row.job_id, str(kind), row.stream_id, Api(str(api)), row.start_ns, row.end_ns, row.holder, row.fence
    )
