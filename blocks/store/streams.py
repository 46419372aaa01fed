"""A stream's claim, cursor and error. Every writer writes the stream's row first, under a claim that it still holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select, update

from blocks import clock
from blocks.command_line import command_line
from blocks.durations import DAYS_MAX
from blocks.errors import ClaimLostError, SourceError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.health import ERROR, WARNING, Condition, error_condition, tracker_of
from blocks.retry_window import GIVEN_UP
from blocks.store import claims, collected_spans, event_times, health, late_or_missed
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.claims import RELEASE_VALUES, renew_values
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import QuarantinedItemRow, SourceRow, StreamRow, WindowRow, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Row, Table

    from blocks.store.claims import Holder

REPORTED_AFTER_NS = 300 * 10**9  # an error that is over within a tick is no change of health
LONGEST_WAIT_NS = 4200 * 10**9  # more than an hour, the longest wait between two attempts that a server may request
QUIET_REMEMBERED_NS = 35 * 86_400 * 10**9  # the longest time between events is forgotten after five weeks
OVERLAP_NS = 48 * 3600 * 10**9  # read again after a cursor was rejected; item usages arrive up to a day late

_quarantine = table_of(QuarantinedItemRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)
_windows = table_of(WindowRow)

NO_ERROR: dict[str, Any] = {
    "failing_since_ns": None,
    "failed_attempts": 0,
    "error_type": None,
    "error_code": None,
    "error_message": None,
    "error_ns": None,
    "stopped_fingerprint": None,
}
"""The values of a row without an error: of streams, and of the positions of pairs in them."""


@dataclass(frozen=True, slots=True)
class StreamClaim:
    """The right to read one stream, held by one run."""

    stream_id: int
    api: Api
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class DrainStats:
    """What a complete drain shows about a stream's pace, in nanoseconds.

    `lag_ns` is the median age of the last page's events at receipt, `quiet_ns` the time between the newest event before
    the drain and the oldest event that it brought; None if it brought none.
    """

    lag_ns: int | None = None
    quiet_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream as it is stored. Times are nanoseconds since 1970."""

    id: int
    api: Api
    cursor: str | None
    cursor_version: str | None
    cursor_dropped_ns: int | None
    newest_ns: int | None
    drained_ns: int | None
    quiet_ns: int | None
    holder: str | None
    claim_expires_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_code: str | None
    error_message: str | None
    stopped_fingerprint: str | None
    claimed_by: Holder | None = None

    @property
    def resume_ns(self) -> int | None:
        """Where to read from without a cursor: 48 hours before the last point known to be good.

        None if the stream was never read to its end: then it is read from the start again.
        """
        if self.drained_ns is None:
            return None
        newest_ns = self.drained_ns if self.newest_ns is None else self.newest_ns
        oldest_ns = self.drained_ns - DAYS_MAX * 86_400 * 10**9  # an event of 1970 is no place to read from
        return max(min(newest_ns, self.drained_ns) - OVERLAP_NS, oldest_ns)


def of_source(engine: Engine, source_id: str, apis: Sequence[Api]) -> list[StreamView]:
    """The streams of a source, in the order of `apis`."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(select(_streams).where(_streams.c.source_id == source_id)).all()
    views = {view.api: view for view in map(_view, rows)}
    return [views[api] for api in apis if api in views]


def get(engine: Engine, stream_id: int) -> StreamView:
    with store_errors(), reading(engine).connect() as connection:
        return _view(connection.execute(select(_streams).where(_streams.c.id == stream_id)).one())


def last_quarantined_ns(engine: Engine, stream_id: int) -> int | None:
    """When an item of the stream was last quarantined, in ns since 1970; None if there is none."""
    query = select(func.max(_quarantine.c.received_ns)).where(_quarantine.c.stream_id == stream_id)
    with store_errors(), reading(engine).connect() as connection:
        received_ns: int | None = connection.scalar(query)
    return received_ns


def acquire(engine: Engine, view: StreamView, holder: str, *, by_force: bool = False) -> StreamClaim | None:
    """Claim the stream for `holder`; None if another run holds it, or its source was deleted.

    A claim whose process is known to be dead does not count.
    """
    now_ns, this = clock.now_ns(), _streams.c.id == view.id
    taken = update(_streams).where(this).values(claims.acquire_values(_streams, holder, now_ns))
    with writing(engine) as connection:
        if not by_force:
            taken = taken.where(claims.is_free(connection, _streams, now_ns, this) | (_streams.c.holder == holder))
        fence = connection.execute(taken.returning(_streams.c.fence)).scalar()
        if fence is not None and is_source_deleted(connection, view.id):
            connection.execute(update(_streams).where(_streams.c.id == view.id).values(RELEASE_VALUES))
            return None
    return None if fence is None else StreamClaim(view.id, view.api, holder, fence)


def is_source_deleted(connection: Connection, stream_id: int) -> bool:
    """Whether the source of a stream is deleted; call it after you acquired a claim on the stream.

    A deletion marks the source, then revokes all claims. So either the claim is revoked, or this check sees the mark.
    It must be a statement of its own: a statement that waited for a row lock sees other rows as they were before.
    """
    query = select(_sources.c.deleted_ns).join(_streams, _streams.c.source_id == _sources.c.id)
    row = connection.execute(query.where(_streams.c.id == stream_id)).first()
    return row is None or row.deleted_ns is not None


def renew(engine: Engine, claim: StreamClaim, *, for_seconds: float = 0) -> None:
    """Keep the claim for a wait of `for_seconds` and the attempt after it. Raises ClaimLostError."""
    with writing(engine) as connection:
        update_row(connection, claim, **renew_values(clock.now_ns(), int(for_seconds * 1e9)))


def release(engine: Engine, claim: StreamClaim) -> None:
    """Release the stream. If the claim was lost meanwhile, nothing happens."""
    with writing(engine) as connection:
        connection.execute(update_under_claim(claim).values(RELEASE_VALUES))


def record_failure(engine: Engine, claim: StreamClaim, error: SourceError, *, since_ns: int | None = None) -> int:
    """Record an error of the stream. Returns since when it has been failing, in ns. Raises ClaimLostError.

    `since_ns` is the time of an earlier failure that could not be recorded because the store was unreachable.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        update_row(
            connection,
            claim,
            failing_since_ns=first_failure(_streams, since_ns or now_ns, now_ns),
            failed_attempts=_streams.c.failed_attempts + 1,
            error_type=error.name,
            error_code=error.code,
            error_message=str(error),
            error_ns=now_ns,
        )
        source_id, failing_since_ns = _failing(connection, claim)
        if now_ns - failing_since_ns >= REPORTED_AFTER_NS:
            health.begin(connection, source_id, error_condition(error, WARNING, claim.api), since_ns=failing_since_ns)
    return failing_since_ns


def stop(
    engine: Engine, claim: StreamClaim, error: SourceError, fingerprint: str | None, *, noted: bool = False
) -> None:
    """Stop the stream: no request is made for it while the source has this fingerprint.

    With None the next run tries again. In both cases the claim is released, and a health event reports the error.
    `noted`: `record_failure` has already counted the attempt.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        update_row(
            connection,
            claim,
            failing_since_ns=first_failure(_streams, now_ns, now_ns),
            failed_attempts=_streams.c.failed_attempts + int(not noted),
            error_type=error.name,
            error_code=error.code,
            error_message=str(error),
            error_ns=now_ns,
            stopped_fingerprint=fingerprint,
            **RELEASE_VALUES,
        )
        source_id, failing_since_ns = _failing(connection, claim)
        condition = error_condition(error, ERROR, claim.api)
        if noted and not isinstance(error, ThirdPartyConfigError):
            condition = replace(condition, hint=_hint(connection, source_id))
        health.begin(connection, source_id, condition, since_ns=failing_since_ns)


def _hint(connection: Connection, source_id: str) -> str:
    """What to do about an error that was retried for 90 minutes and is no longer retried automatically."""
    name = str(connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id)))
    look, again = command_line("check", name), command_line("restart", name)
    return f"{GIVEN_UP} `{look}` looks for the cause; `{again}` tries again."


def restart(engine: Engine, source_id: str) -> None:
    """Clear the errors of a source's streams and revoke their claims, so that the next run reads all of them."""
    with writing(engine) as connection:
        restart_within(connection, source_id)


def restart_within(connection: Connection, source_id: str) -> None:
    """`restart` within a transaction of the caller."""
    revoke_within(connection, source_id, **NO_ERROR)


def revoke_within(connection: Connection, source_id: str, **values: Any) -> None:
    """Revoke all claims on a source's streams and windows: their holders can write nothing from now on."""
    connection.execute(
        update(_streams)
        .where(_streams.c.source_id == source_id)
        .values(**RELEASE_VALUES, fence=_streams.c.fence + 1, **values)
    )
    # Unclaimed windows too: another transaction may be claiming one now, and is not visible here yet.
    of_source = _windows.c.stream_id.in_(select(_streams.c.id).where(_streams.c.source_id == source_id))
    connection.execute(
        update(_windows)
        .where(of_source, _windows.c.done_ns.is_(None))
        .values(**RELEASE_VALUES, fence=_windows.c.fence + 1)
    )


def source_id_of(engine: Engine, stream_id: int) -> str:
    """The id of the source that a stream belongs to."""
    query = select(_streams.c.source_id).where(_streams.c.id == stream_id)
    with store_errors(), reading(engine).connect() as connection:
        return str(connection.scalar(query))


def are_claimed(engine: Engine, source_id: str) -> bool:
    """Whether a run holds a claim that has not expired, on a stream of the source or on a window of one."""
    now_ns, of_source = clock.now_ns(), _streams.c.source_id == source_id
    of_streams = _windows.c.stream_id.in_(select(_streams.c.id).where(of_source))
    with store_errors(), reading(engine).connect() as connection:
        return any(
            connection.execute(
                select(table.c.id).where(which, claims.is_held(connection, table, now_ns, which))
            ).first()
            for table, which in ((_streams, of_source), (_windows, of_streams))
        )


def restart_api(engine: Engine, source_id: str, api: Api) -> None:
    """`restart` for one API, for example when its scope came back."""
    with writing(engine) as connection:
        connection.execute(
            update(_streams)
            .where(_streams.c.source_id == source_id, _streams.c.api == str(api))
            .values(fence=_streams.c.fence + 1, **RELEASE_VALUES, **NO_ERROR)
        )


def drop_cursor(engine: Engine, claim: StreamClaim, rejected: SourceError | None = None) -> None:
    """Drop a cursor that the server rejected or that is of another API version: a first request is next."""
    with writing(engine) as connection:
        update_row(connection, claim, cursor=None, cursor_ns=None, cursor_dropped_ns=clock.now_ns())
        if rejected is not None:
            source_id, _ = _failing(connection, claim)
            health.begin(connection, source_id, _cursor_rejected(claim, rejected))


def correct_newest(engine: Engine, claim: StreamClaim) -> None:
    """Correct a newest time that lies in the future: take it from the events that do not."""
    with writing(engine) as connection:
        newest_ns = event_times.newest_until(claim.stream_id, clock.now_ns()).scalar_subquery()
        update_row(connection, claim, newest_ns=newest_ns)


def record_first_request(engine: Engine, claim: StreamClaim, start_ns: int) -> None:
    """Record the start time of a first request: its cursors bring events of that time and later."""
    with writing(engine) as connection:
        update_row(connection, claim, read_from_ns=start_ns)


def record_drain(
    engine: Engine,
    claim: StreamClaim,
    started_ns: int,
    stats: DrainStats | None = None,
    *,
    by_cursor: bool = True,
) -> None:
    """Record that a run that began at `started_ns` read the stream to its end. Clears the error and releases the claim.

    `by_cursor`: the server accepted a cursor during the drain. Only then is an earlier rejection of a cursor cleared:
    otherwise a server that rejects every cursor would get first requests for ever.
    """
    values: dict[str, Any] = {**RELEASE_VALUES, **_recovered(clock.now_ns()), **_pace(stats or DrainStats())}
    if by_cursor:
        values["cursor_dropped_ns"] = None
    with writing(engine) as connection:
        stream = update_row(connection, claim, drained_ns=started_ns, **values)
        collected_spans.extend(connection, claim.stream_id, stream.read_from_ns, started_ns)
        if stream.undecided:
            late_or_missed.record_missed(connection, stream)
        _recover(connection, claim, *(("error", "cursor") if by_cursor else ("error",)))


def recover(engine: Engine, claim: StreamClaim) -> None:
    """End the error's condition after a committed page, even before the stream's end is reached."""
    with writing(engine) as connection:
        update_row(connection, claim, **_recovered(clock.now_ns()))
        _recover(connection, claim, "error")


def progress_values() -> dict[str, Any]:
    """The values that a committed page sets on its stream: it ends the 90-minute window."""
    now_ns = clock.now_ns()
    return {"progress_ns": now_ns, **renew_values(now_ns), **_recovered(now_ns)}


def update_row(connection: Connection, claim: StreamClaim, **values: Any) -> Row[Any]:
    """Write the stream's row under the claim, and return it. Raises ClaimLostError if it was revoked."""
    return require_claim(
        connection.execute(update_under_claim(claim).values(values).returning(_streams)).first(), claim
    )


def update_under_claim(claim: StreamClaim) -> Any:
    """An UPDATE of the claim's stream that matches no row once the claim was revoked."""
    return update(_streams).where(_streams.c.id == claim.stream_id, _streams.c.fence == claim.fence)


def require_claim(written: Row[Any] | None, claim: StreamClaim) -> Row[Any]:
    """The row that an UPDATE from `update_under_claim` returned; raises ClaimLostError if there is none."""
    if written is None:
        raise ClaimLostError(
            f"Another run reads {claim.api} now, so this one stops here.",
            hint="Nothing is lost: what this run had committed stays, and the other run goes on from there.",
            code="claim",
        )
    return written


_OVER = {"error": "{} is collected again.", "cursor": "The cursor of {} is good again."}


def _recover(connection: Connection, claim: StreamClaim, *kinds: str) -> None:
    source_id, _ = _failing(connection, claim)
    for kind in kinds:
        health.end(connection, source_id, tracker_of(kind, claim.api), _OVER[kind].format(claim.api), claim.api)


def _failing(connection: Connection, claim: StreamClaim) -> tuple[str, int]:
    """The source of a stream, and since when the stream has been failing; now, if it is not failing."""
    query = select(_streams.c.source_id, _streams.c.failing_since_ns).where(_streams.c.id == claim.stream_id)
    row = connection.execute(query).one()
    return row.source_id, row.failing_since_ns or clock.now_ns()


def _cursor_rejected(claim: StreamClaim, rejected: SourceError) -> Condition:
    return Condition(
        tracker=tracker_of("cursor", claim.api),
        name="CursorRejected",
        severity=WARNING,
        description=rejected.message,
        api=claim.api,
        error_type=rejected.name,
        error_code=rejected.code,
        hint=rejected.hint,
    )


def _pace(stats: DrainStats) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if stats.lag_ns is not None:
        values["lag_ns"] = stats.lag_ns
    if stats.quiet_ns is not None:
        now_ns = clock.now_ns()
        longer = func.coalesce(_streams.c.quiet_ns, -1) < stats.quiet_ns
        longer |= func.coalesce(_streams.c.quiet_at_ns, 0) < now_ns - QUIET_REMEMBERED_NS
        values["quiet_ns"] = case((longer, stats.quiet_ns), else_=_streams.c.quiet_ns)
        values["quiet_at_ns"] = case((longer, now_ns), else_=_streams.c.quiet_at_ns)
    return values


def first_failure(table: Table, since_ns: int, now_ns: int) -> Any:
    """Since when a row has been failing: its own value; `since_ns` if it has none or the clock was set back since.

    A value in the future would allow retries for ever, without a pause. Time in which nothing was tried does not count:
    otherwise the first attempt after the machine slept, or after its clock was set forward, would be the last one.
    """
    known, untried_ns = table.c.failing_since_ns, now_ns - table.c.error_ns
    return case(
        (known > now_ns + CLAIM_NS, since_ns),
        (untried_ns > LONGEST_WAIT_NS, known + untried_ns),
        else_=func.coalesce(known, since_ns),
    )


def _recovered(now_ns: int) -> dict[str, Any]:
    """The values of a recovery and its time: an error that is over within a tick changes no health, but is recorded."""
    was_failing = _streams.c.failing_since_ns.is_not(None)
    return {**NO_ERROR, "recovered_ns": case((was_failing, now_ns), else_=_streams.c.recovered_ns)}


def _view(row: Row[Any]) -> StreamView:
    return StreamView(
        id=row.id,
        api=Api(row.api),
        cursor=row.cursor,
        cursor_version=row.cursor_version,
        cursor_dropped_ns=row.cursor_dropped_ns,
        newest_ns=row.newest_ns,
        drained_ns=row.drained_ns,
        quiet_ns=row.quiet_ns,
        holder=row.holder,
        claim_expires_ns=row.claim_expires_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_code=row.error_code,
        error_message=row.error_message,
        stopped_fingerprint=row.stopped_fingerprint,
        claimed_by=claims.holder_of(row),
    )
