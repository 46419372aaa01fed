"""Positions: how far a pair has forwarded each stream, the claim on each position, and its errors.

The position is the id of the last event of the unbroken acknowledged range. It moves under a claim that expires and is
fenced, like a stream's cursor. Before a batch is sent, `in_flight` records where the batches after the position end:
after a kill, the next run sends exactly the same batches. After an error, `ahead` records which of them the SIEM has
acknowledged: they are not sent again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ClaimLostError, SourceError, ThirdPartyConfigError, join_sentences
from blocks.events_api.models import Api
from blocks.health import ERROR, WARNING, Condition
from blocks.retry_window import GIVEN_UP
from blocks.store import claims, health
from blocks.store.claims import RELEASE_VALUES, renew_values
from blocks.store.engine import reading, store_errors, writing
from blocks.store.forwarding import rejected_events
from blocks.store.forwarding.records import PositionClaim
from blocks.store.on_conflict import insert_new
from blocks.store.streams import NO_ERROR as HEALTHY_STREAM
from blocks.store.streams import REPORTED_AFTER_NS, first_failure
from blocks.store.tables import PairRow, PositionRow, SourceRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.store.claims import Holder
    from blocks.store.forwarding.records import ReplayBatch
    from blocks.store.forwarding.rejected_events import RejectedEvent

_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)

HEALTHY: dict[str, Any] = {**HEALTHY_STREAM, "unconfirmed": 0}
"""The column values of a position without an error."""
AcknowledgedAhead = dict[int, tuple[int, int]]
"""Last id of a batch: (events sent, events filtered by rules)."""


@dataclass(frozen=True, slots=True)
class PositionView:
    """A snapshot of how far a pair has forwarded a stream. Times are nanoseconds since 1970.

    `in_flight` holds the last ids of the batches that were in flight at the last write, and `ahead` those of them that
    the SIEM has acknowledged, each with the events sent and filtered by rules. `replays` counts how often the position
    was set to another event.
    """

    pair_id: str
    siem: str
    stream_id: int
    api: Api
    acknowledged_id: int
    in_flight: tuple[int, ...]
    ahead: AcknowledgedAhead
    replays: int
    claim_expires_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_code: str | None
    error_message: str | None
    stopped_fingerprint: str | None
    claimed_by: Holder | None = None


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The outcome of one whole batch: its first and last id, and how many events were sent and filtered by rules.

    `was_ahead`: an earlier run sent the batch, and has recorded its rejected events.
    """

    first_id: int
    last_id: int
    sent: int
    filtered: int
    rejected: tuple[RejectedEvent, ...] = ()
    was_ahead: bool = False


def of_pair(engine: Engine, pair_id: str) -> list[PositionView]:
    """Return the positions of a pair, one for each stream of its source; creates those that are missing.

    Raises ThirdPartyConfigError if the pair was removed.
    """
    with writing(engine) as connection:
        pair = create_within(connection, pair_id)
        if pair is None:
            raise _removed_error()
        rows = connection.execute(select(_positions).where(_positions.c.pair_id == pair_id)).all()
        streams = connection.execute(select(_streams).where(_streams.c.source_id == pair.source_id)).all()
    apis = {stream.id: Api(stream.api) for stream in streams}
    return [_to_view(row, pair.siem, apis[row.stream_id]) for row in rows if row.stream_id in apis]


def get(engine: Engine, claim: PositionClaim) -> PositionView:
    """Read the current position of a claim."""
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(select(_positions).where(*_key(claim.pair_id, claim.stream_id))).one()
    return _to_view(row, claim.siem, claim.api)


def acquire(engine: Engine, view: PositionView, holder: str) -> PositionClaim | None:
    """Claim the stream's position for `holder`.

    Returns None if another run holds an unexpired claim, if the pair is paused, or if its source is deleted. The claim
    of a run whose process is known to be dead does not count.
    """
    now_ns, this = clock.now_ns(), _key(view.pair_id, view.stream_id)
    statement = update(_positions).where(*this).values(claims.acquire_values(_positions, holder, now_ns))
    with writing(engine) as connection:
        is_open = _lock_pair(connection, view.pair_id) is not None and _is_open(connection, view.pair_id)
        statement = statement.where(
            claims.is_free(connection, _positions, now_ns, *this) | (_positions.c.holder == holder)
        )
        fence = connection.execute(statement.returning(_positions.c.fence)).scalar() if is_open else None
    return None if fence is None else PositionClaim(view.pair_id, view.siem, view.stream_id, view.api, holder, fence)


def renew(engine: Engine, claim: PositionClaim, *, for_seconds: float = 0) -> None:
    """Extend the claim for a wait of `for_seconds` and the next attempt. Raises ClaimLostError."""
    with writing(engine) as connection:
        _write(connection, claim, **renew_values(clock.now_ns(), int(for_seconds * 1e9)))


def release(engine: Engine, claim: PositionClaim) -> None:
    """Release the claim. Does nothing if the claim was lost."""
    with writing(engine) as connection:
        connection.execute(_update_held(claim).values(RELEASE_VALUES))


def advance(
    engine: Engine,
    claim: PositionClaim,
    step: BatchOutcome | None,
    in_flight: Sequence[int],
    ahead: AcknowledgedAhead | None = None,
) -> None:
    """Move the position past a batch (None: it stays) and record the batches in flight, in one transaction.

    `in_flight`: the last ids of the batches that are in flight or about to be; `ahead`: those of them that an earlier
    run has sent. Raises ClaimLostError.
    """
    now_ns = clock.now_ns()
    values: dict[str, Any] = {"in_flight": _dump(in_flight, ahead or {}), **renew_values(now_ns)}
    with writing(engine) as connection:
        if step is None:
            _advance(connection, claim, _UPDATE_HELD, values)
            return
        more = {"more_sent": step.sent, "more_filtered": step.filtered}
        values |= {"acknowledged_id": step.last_id, "progress_ns": now_ns, **HEALTHY}
        _advance(connection, claim, _UPDATE_COUNTED, values | more)
        if not step.was_ahead:
            rejected_events.record_passed(connection, claim, step.first_id, step.last_id, step.rejected)
        _recover(connection, claim)


def record_acknowledged_ahead(
    engine: Engine,
    claim: PositionClaim,
    steps: Sequence[BatchOutcome],
    in_flight: Sequence[int],
    ahead: AcknowledgedAhead,
) -> None:
    """Record the batches that were acknowledged after the first failed one; the position stays before the failed one.

    They are counted when the position passes them. Raises ClaimLostError.
    """
    with writing(engine) as connection:
        _write(connection, claim, in_flight=_dump(in_flight, ahead), **renew_values(clock.now_ns()))
        for step in steps:
            rejected_events.record_passed(connection, claim, step.first_id, step.last_id, step.rejected)


def record_replayed(engine: Engine, claim: PositionClaim, sent: ReplayBatch, step: BatchOutcome) -> None:
    """Record that rejected events were sent again: those accepted now, or dropped by a rule, are no longer rejected.

    The position stays. Raises ClaimLostError.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        _write(connection, claim, **_count_values(step, now_ns), **renew_values(now_ns))
        rejected_events.record_replayed(connection, claim, sent, step.rejected)
        _recover(connection, claim)


def finish(engine: Engine, claim: PositionClaim) -> None:
    """Record that all events were sent: clear the position's errors and release its claim. Raises ClaimLostError."""
    with writing(engine) as connection:
        _write(connection, claim, in_flight=None, **RELEASE_VALUES, **HEALTHY)
        _recover(connection, claim)


def record_failure(
    engine: Engine,
    claim: PositionClaim,
    error: SourceError,
    *,
    since_ns: int | None = None,
    unconfirmed: bool = False,
) -> int:
    """Record an error. Returns since when the position has been failing, in ns since 1970. Raises ClaimLostError.

    `since_ns`: the first failure, if it could not be recorded because the store was unreachable. `unconfirmed`: the
    SIEM may have accepted the batch, but did not acknowledge it.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        values = _error_values(error, since_ns or now_ns, now_ns)
        if unconfirmed:
            values["unconfirmed"] = _positions.c.unconfirmed + 1
        row = _write(connection, claim, **values)
        failing_since_ns = int(row.failing_since_ns)
        if now_ns - failing_since_ns >= REPORTED_AFTER_NS and not _has_stopped(connection, claim):
            _begin(connection, claim, _condition(claim.siem, error, WARNING), failing_since_ns)
    return failing_since_ns


def count_unconfirmed(engine: Engine, claim: PositionClaim) -> int:
    """Count the attempts, of all runs, that the SIEM has not acknowledged since the last progress."""
    query = select(_positions.c.unconfirmed).where(*_key(claim.pair_id, claim.stream_id))
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(query).scalar_one())


def stop(
    engine: Engine, claim: PositionClaim, error: SourceError, fingerprint: str | None, *, noted: bool = False
) -> None:
    """Stop in error: nothing is sent until the SIEM's fingerprint changes or a person resumes the pair.

    Without a fingerprint, the next run retries. `noted`: `record_failure` has counted the attempt already. Raises
    ClaimLostError.
    """
    now_ns = clock.now_ns()
    values = _error_values(error, now_ns, now_ns)
    if noted:
        del values["failed_attempts"]
    with writing(engine) as connection:
        row = _write(connection, claim, **values, stopped_fingerprint=fingerprint, **RELEASE_VALUES)
        condition = _condition(claim.siem, error, ERROR)
        if fingerprint is not None and (noted or isinstance(error, ThirdPartyConfigError)):
            condition = replace(condition, hint=_hint(claim.siem, error))
        _begin(connection, claim, condition, row.failing_since_ns)


def _hint(siem: str, error: SourceError) -> str:
    """What to do about an error that stops a pair. A retried error's own hint promises retries, which have ended."""
    commands = f"`{command_line('siem test', siem)}` tries it; `{command_line('siem resume', siem)}` sends again."
    return (
        join_sentences(error.hint, commands) if isinstance(error, ThirdPartyConfigError) else f"{GIVEN_UP} {commands}"
    )


def record_pair_failure(engine: Engine, pair_id: str, error: SourceError) -> None:
    """Record an error that concerns the whole pair: its block is missing or invalid.

    Each run retries, so a corrected block works without further commands. Does nothing if the pair was removed.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        pair = create_within(connection, pair_id)
        if pair is None:
            return
        statement = update(_positions).where(_positions.c.pair_id == pair_id)
        statement = statement.values(**_error_values(error, now_ns, now_ns), stopped_fingerprint=None)
        since_ns = min(connection.scalars(statement.returning(_positions.c.failing_since_ns)), default=now_ns)
        health.begin(connection, pair.source_id, _condition(pair.siem, error, ERROR), since_ns=since_ns)


def create_within(connection: Connection, pair_id: str) -> Row[Any] | None:
    """Create the positions that a pair lacks. Returns the pair, or None if it was removed."""
    pair = _lock_pair(connection, pair_id)
    if pair is not None:
        for stream_id in connection.scalars(select(_streams.c.id).where(_streams.c.source_id == pair.source_id)).all():
            insert_new(connection, _positions, {"pair_id": pair_id, "stream_id": stream_id, "acknowledged_id": 0})
    return pair


def recover_within(connection: Connection, pair_id: str) -> None:
    """Clear the errors of a pair and revoke the claims of its failing positions. Other claims stay valid."""
    failing = _positions.c.failing_since_ns.is_not(None) | _positions.c.stopped_fingerprint.is_not(None)
    _restart(connection, _positions.c.pair_id == pair_id, failing)


def restart_within(connection: Connection, pair_id: str) -> None:
    """Clear the errors of a pair and revoke all its claims, so that the next run sends from each position."""
    _restart(connection, _positions.c.pair_id == pair_id)


def _restart(connection: Connection, *which: Any) -> None:
    statement = update(_positions).where(*which)
    connection.execute(statement.values(fence=_positions.c.fence + 1, **RELEASE_VALUES, **HEALTHY))


def restart_source_within(connection: Connection, source_id: str) -> None:
    """Do the same as `restart_within` for all pairs of a source."""
    of_source = select(_pairs.c.id).where(_pairs.c.source_id == source_id).with_for_update()
    for pair_id in connection.scalars(of_source).all():
        restart_within(connection, pair_id)


def forget_ahead_within(connection: Connection, pair_id: str) -> None:
    """Forget which batches were acknowledged ahead of the positions: they are sent again. `in_flight` stays."""
    of_pair = _positions.c.pair_id == pair_id
    for row in connection.execute(select(_positions).where(of_pair, _positions.c.in_flight.is_not(None))).all():
        ends, _ = _load(row.in_flight, row.acknowledged_id)
        statement = update(_positions).where(of_pair, _positions.c.stream_id == row.stream_id)
        connection.execute(statement.values(in_flight=_dump(ends, {})))


def last_acknowledged(row: Row[Any]) -> int:
    """Return the id of the last acknowledged event, which may be ahead of the position.

    `row` has `acknowledged_id` and `in_flight`.
    """
    _, ahead = _load(row.in_flight, row.acknowledged_id)
    return max([int(row.acknowledged_id), *ahead])


def lock_within(connection: Connection, pair_id: str) -> list[tuple[int, int, int]]:
    """Lock a pair's positions. Returns of each stream its id, the position, and the last acknowledged event.

    The last acknowledged event may be ahead of the position.
    """
    # This write changes nothing but locks the rows: no run moves a position between this read and the move after it.
    locking = (
        update(_positions).where(_positions.c.pair_id == pair_id).values(acknowledged_id=_positions.c.acknowledged_id)
    )
    rows = connection.execute(
        locking.returning(_positions.c.stream_id, _positions.c.acknowledged_id, _positions.c.in_flight)
    )
    return [(row.stream_id, row.acknowledged_id, last_acknowledged(row)) for row in rows]


def reset_within(connection: Connection, pair_id: str) -> None:
    """Rewind a pair to send all events: its new target has none of them. Revokes its claims and clears its errors."""
    counts = {name: _positions.c[name] + 1 for name in ("fence", "replays")}
    moved = update(_positions).where(_positions.c.pair_id == pair_id)
    connection.execute(moved.values(acknowledged_id=0, in_flight=None, **counts, **RELEASE_VALUES, **HEALTHY))


def move_within(connection: Connection, pair_id: str, stream_id: int, event_id: int) -> None:
    """Set a position to `event_id`, clear its errors and revoke its claim: a run that holds it can write no more."""
    counts = {name: _positions.c[name] + 1 for name in ("fence", "replays")}
    moved = update(_positions).where(*_key(pair_id, stream_id))
    connection.execute(moved.values(acknowledged_id=event_id, in_flight=None, **counts, **RELEASE_VALUES, **HEALTHY))


def tracker(siem: str) -> str:
    """Return the tracker of the health events about errors of forwarding, see `blocks.health`."""
    return f"forward/{siem}"


def _lock_pair(connection: Connection, pair_id: str) -> Row[Any] | None:
    """Lock and return the pair: it cannot change or be removed before the transaction ends. None if it was removed."""
    return connection.execute(select(_pairs).where(_pairs.c.id == pair_id).with_for_update()).one_or_none()


def _is_open(connection: Connection, pair_id: str) -> bool:
    # Only after `_lock_pair`, in a statement of its own: a statement that has waited for a row does not see a deletion
    # of the source that was committed during the wait.
    query = select(_pairs.c.id).join(_sources, _sources.c.id == _pairs.c.source_id)
    query = query.where(_pairs.c.id == pair_id, _pairs.c.paused_ns.is_(None), _sources.c.deleted_ns.is_(None))
    return connection.execute(query).first() is not None


def _removed_error() -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        "The SIEM was removed during this run. No more events are sent to it; all events stay in the store.",
        hint="`onepassword-source siem add` adds it again; `onepassword-source siem list` lists the SIEMs.",
        code="unknown-siem",
    )


def _key(pair_id: str, stream_id: int) -> tuple[Any, ...]:
    return _positions.c.pair_id == pair_id, _positions.c.stream_id == stream_id


def _update_held(claim: PositionClaim) -> Any:
    return update(_positions).where(*_key(claim.pair_id, claim.stream_id), _positions.c.fence == claim.fence)


def _write(connection: Connection, claim: PositionClaim, **values: Any) -> Row[Any]:
    row = connection.execute(_update_held(claim).values(values).returning(_positions)).first()
    if row is None:
        raise _lost_error(claim)
    return row


def _advance(connection: Connection, claim: PositionClaim, statement: Any, values: dict[str, Any]) -> None:
    key = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "of_fence": claim.fence}
    if not connection.execute(statement, values | key).rowcount:
        raise _lost_error(claim)


def _lost_error(claim: PositionClaim) -> ClaimLostError:
    return ClaimLostError(
        f"This run lost its claim to forward {claim.api} to {claim.siem}: another run took over, or the pair changed.",
        hint="No event is lost: the next run continues after the last acknowledged event.",
        code="claim",
    )


def _count_values(step: BatchOutcome, now_ns: int) -> dict[str, Any]:
    counts = {"sent": _positions.c.sent + step.sent, "filtered": _positions.c.filtered + step.filtered}
    return {**counts, "progress_ns": now_ns, **HEALTHY}


def _source_id(connection: Connection, pair_id: str) -> str:
    return str(connection.scalar(_SOURCE_OF, {"of_pair": pair_id}))


def _error_values(error: SourceError, since_ns: int, now_ns: int) -> dict[str, Any]:
    return {
        "failing_since_ns": first_failure(_positions, since_ns, now_ns),
        "failed_attempts": _positions.c.failed_attempts + 1,
        "error_type": error.name,
        "error_code": error.code,
        "error_message": str(error),
        "error_ns": now_ns,
    }


def _condition(siem: str, error: SourceError, severity: Any) -> Condition:
    return Condition(
        tracker=tracker(siem),
        name=error.name,
        severity=severity,
        description=f"Forwarding to {siem}: {error.message}",
        value=f"{severity} {error.name}",
        error_type=error.name,
        error_code=error.code or None,
        hint=error.hint or None,
    )


def _begin(connection: Connection, claim: PositionClaim, condition: Condition, since_ns: int) -> None:
    health.begin(connection, _source_id(connection, claim.pair_id), condition, since_ns=since_ns)


def _has_stopped(connection: Connection, claim: PositionClaim) -> bool:
    """Whether a stream of the pair has stopped. Its Error is reported; another stream's Warning must not replace it."""
    health.lock(connection, _source_id(connection, claim.pair_id), tracker(claim.siem))
    query = select(_positions.c.stream_id).where(
        _positions.c.pair_id == claim.pair_id, _positions.c.stopped_fingerprint.is_not(None)
    )
    return connection.execute(query.limit(1)).first() is not None


def _recover(connection: Connection, claim: PositionClaim) -> None:
    """End the pair's error once none of its streams has one."""
    source_id = _source_id(connection, claim.pair_id)
    if not health.is_open(connection, source_id, tracker(claim.siem)):
        return
    health.lock(connection, source_id, tracker(claim.siem))
    failing = select(_positions.c.stream_id).where(
        _positions.c.pair_id == claim.pair_id, _positions.c.failing_since_ns.is_not(None)
    )
    if connection.execute(failing.limit(1)).first() is None:
        sentence = f"Events are forwarded to {claim.siem} again."
        health.end(connection, source_id, tracker(claim.siem), sentence)


def _dump(in_flight: Sequence[int], ahead: AcknowledgedAhead) -> str | None:
    acknowledged = {end: counts for end, counts in ahead.items() if end in in_flight}
    return (
        json.dumps({"ends": list(in_flight), "ahead": acknowledged} if acknowledged else list(in_flight))
        if in_flight
        else None
    )


def _load(in_flight: str | None, acknowledged_id: int) -> tuple[tuple[int, ...], AcknowledgedAhead]:
    stored = json.loads(in_flight or "[]")
    ends, ahead = (stored, {}) if isinstance(stored, list) else (stored["ends"], stored["ahead"])
    return (
        tuple(end for end in ends if end > acknowledged_id),
        {int(end): (sent, filtered) for end, (sent, filtered) in ahead.items() if int(end) > acknowledged_id},
    )


def _to_view(row: Row[Any], siem: str, api: Api) -> PositionView:
    in_flight, ahead = _load(row.in_flight, row.acknowledged_id)
    return PositionView(
        pair_id=row.pair_id,
        siem=siem,
        stream_id=row.stream_id,
        api=api,
        acknowledged_id=row.acknowledged_id,
        in_flight=in_flight,
        ahead=ahead,
        replays=row.replays,
        claim_expires_ns=row.claim_expires_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_code=row.error_code,
        error_message=row.error_message,
        stopped_fingerprint=row.stopped_fingerprint,
        claimed_by=claims.holder_of(row),
    )


# Built once: building a statement costs more than executing it, and each batch that is sent moves a position.
_UPDATE_HELD = update(_positions).where(
    _positions.c.pair_id == bindparam("of_pair"),
    _positions.c.stream_id == bindparam("of_stream"),
    _positions.c.fence == bindparam("of_fence"),
)
_UPDATE_COUNTED = _UPDATE_HELD.values(
    sent=_positions.c.sent + bindparam("more_sent"), filtered=_positions.c.filtered + bindparam("more_filtered")
)
_SOURCE_OF = select(_pairs.c.source_id).where(_pairs.c.id == bindparam("of_pair"))
