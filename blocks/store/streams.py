"""A stream's claim, cursor and error. Whoever writes a stream writes its row first, under a claim that still holds.

A claim is a number (the fence) that rises with each taking, and a time at which it lapses. Each write names the
fence that it was made under, so a run whose claim was taken away changes nothing, whatever the clocks say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from blocks import clock
from blocks.errors import ClaimLostError, SourceError
from blocks.events_api.models import Api
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, CursorResult, Engine, Row

LEASE_NS = 240 * 10**9  # longer than one request and one commit may take, shorter than a tick
OVERLAP_NS = 48 * 3600 * 10**9  # read again after a cursor was refused; item usages arrive up to a day late

_streams = Stream.__table__  # type: ignore[attr-defined]

_HEALTHY: dict[str, Any] = {
    "failing_since_ns": None,
    "error_type": None,
    "error_code": None,
    "error_message": None,
    "error_ns": None,
    "stopped_fingerprint": None,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to read one stream, held by one run."""

    stream_id: int
    api: Api
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class StreamView:
    """A stream as a run finds it. Times are nanoseconds since 1970."""

    id: int
    api: Api
    cursor: str | None
    cursor_version: str | None
    cursor_dropped_ns: int | None
    newest_ns: int | None
    drained_ns: int | None
    holder: str | None
    holder_until_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_message: str | None
    stopped_fingerprint: str | None

    @property
    def resume_ns(self) -> int | None:
        """Where to read from without a cursor: 48 hours before the last point known to be good.

        None where the stream was never read to its end: then it is read from its very start again.
        """
        if self.drained_ns is None:
            return None
        return min(self.newest_ns or self.drained_ns, self.drained_ns) - OVERLAP_NS


def of_source(engine: Engine, source_id: str, apis: Sequence[Api]) -> list[StreamView]:
    """The streams of a source, in the order of `apis`."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(select(_streams).where(_streams.c.source_id == source_id)).all()
    views = {view.api: view for view in map(_view, rows)}
    return [views[api] for api in apis if api in views]


def one(engine: Engine, stream_id: int) -> StreamView:
    with store_errors(), reading(engine).connect() as connection:
        return _view(connection.execute(select(_streams).where(_streams.c.id == stream_id)).one())


def take(engine: Engine, view: StreamView, holder: str, *, by_force: bool = False) -> Claim | None:
    """Take the stream for `holder`, or None where another run has it and its claim has not lapsed."""
    now_ns = clock.now_ns()
    taken = update(_streams).where(_streams.c.id == view.id)
    if not by_force:
        free = _streams.c.holder.is_(None) | (_streams.c.holder == holder) | (_streams.c.holder_until_ns < now_ns)
        taken = taken.where(free)
    taken = taken.values(holder=holder, holder_until_ns=now_ns + LEASE_NS, fence=_streams.c.fence + 1)
    with writing(engine) as connection:
        fence = connection.execute(taken.returning(_streams.c.fence)).scalar()
    return None if fence is None else Claim(view.id, view.api, holder, fence)


def renew(engine: Engine, claim: Claim, *, for_seconds: float = 0) -> None:
    """Keep the claim for a wait of `for_seconds` and the attempt after it. Raises ClaimLostError."""
    with writing(engine) as connection:
        write(connection, claim, holder_until_ns=clock.now_ns() + int(for_seconds * 1e9) + LEASE_NS)


def release(engine: Engine, claim: Claim) -> None:
    """Give the stream back. A claim that was lost meanwhile is nothing to give back."""
    with writing(engine) as connection:
        connection.execute(held(claim).values(holder=None, holder_until_ns=None))


def note_failure(engine: Engine, claim: Claim, error: SourceError, *, since_ns: int | None = None) -> int:
    """Remember an error of the stream. Returns since when it has been failing, in ns. Raises ClaimLostError.

    `since_ns` is the first failure that the store could not be told of, where there was one.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        write(
            connection,
            claim,
            failing_since_ns=_since(since_ns or now_ns),
            error_type=error.name,
            error_code=error.code,
            error_message=str(error),
            error_ns=now_ns,
        )
        since = select(_streams.c.failing_since_ns).where(_streams.c.id == claim.stream_id)
        return int(connection.execute(since).scalar_one())


def stop(engine: Engine, claim: Claim, error: SourceError, fingerprint: str) -> None:
    """Quit the stream: nothing is asked for it again while the source has this fingerprint."""
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        write(
            connection,
            claim,
            failing_since_ns=_since(now_ns),
            error_type=error.name,
            error_code=error.code,
            error_message=str(error),
            error_ns=now_ns,
            stopped_fingerprint=fingerprint,
            holder=None,
            holder_until_ns=None,
        )


def restart(engine: Engine, source_id: str) -> None:
    """Forget the errors of a source's streams and take their claims away, so that the next run reads all of them."""
    with writing(engine) as connection:
        connection.execute(
            update(_streams)
            .where(_streams.c.source_id == source_id)
            .values(holder=None, holder_until_ns=None, fence=_streams.c.fence + 1, **_HEALTHY)
        )


def drop_cursor(engine: Engine, claim: Claim) -> None:
    """Forget a cursor that the server refuses; the next request is a first one."""
    with writing(engine) as connection:
        write(connection, claim, cursor=None, cursor_ns=None, cursor_dropped_ns=clock.now_ns())


def note_drained(engine: Engine, claim: Claim, started_ns: int) -> None:
    """The stream was read to its end by a run that started then. It is healthy, and free for the next run."""
    with writing(engine) as connection:
        write(
            connection,
            claim,
            drained_ns=started_ns,
            cursor_dropped_ns=None,
            holder=None,
            holder_until_ns=None,
            **_HEALTHY,
        )


def progress() -> dict[str, Any]:
    """The values that a committed page sets on its stream: it ends the 90-minute window."""
    now_ns = clock.now_ns()
    return {"progress_ns": now_ns, "holder_until_ns": now_ns + LEASE_NS, **_HEALTHY}


def write(connection: Connection, claim: Claim, **values: Any) -> None:
    """Write the stream's row under the claim. Raises ClaimLostError where it was taken away."""
    require(connection.execute(held(claim).values(values)), claim)


def held(claim: Claim) -> Any:
    """An UPDATE of the claim's stream that touches nothing once the claim was taken away."""
    return update(_streams).where(_streams.c.id == claim.stream_id, _streams.c.fence == claim.fence)


def require(written: CursorResult[Any], claim: Claim) -> None:
    """Raise ClaimLostError where an UPDATE made with `held` has touched nothing."""
    if written.rowcount == 0:
        raise ClaimLostError(
            f"Another run reads {claim.api} now, so this one stops here.",
            hint="Nothing is lost: what this run had committed stays, and the other run goes on from there.",
            code="claim",
        )


def _since(now_ns: int) -> Any:
    return func.coalesce(_streams.c.failing_since_ns, now_ns)


def _view(row: Row[Any]) -> StreamView:
    return StreamView(
        id=row.id,
        api=Api(row.api),
        cursor=row.cursor,
        cursor_version=row.cursor_version,
        cursor_dropped_ns=row.cursor_dropped_ns,
        newest_ns=row.newest_ns,
        drained_ns=row.drained_ns,
        holder=row.holder,
        holder_until_ns=row.holder_until_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_message=row.error_message,
        stopped_fingerprint=row.stopped_fingerprint,
    )
