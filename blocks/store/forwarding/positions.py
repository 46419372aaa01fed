"""How far a forward is in each stream: the claim on it, the position, and what is in its way.

The position is the id of the last event of the unbroken range that the SIEM has said yes to. It moves under a claim
that expires and is fenced, as a stream's cursor does; and before anything is sent, the plan says how the events behind
it are cut into portions: whoever goes on after a kill sends the very same ones. After an error the plan also says to
which of them the SIEM has said yes: they are not sent again.
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
from blocks.store import claims, health
from blocks.store.claims import RELEASE_VALUES, renew_values
from blocks.store.engine import reading, store_errors, writing
from blocks.store.forwarding import rejected_events
from blocks.store.forwarding.records import PositionClaim
from blocks.store.streams import GIVEN_UP, REPORTED_AFTER_NS, first_failure
from blocks.store.streams import NO_ERROR as HEALTHY_STREAM
from blocks.store.tables import PairRow, PositionRow, SourceRow, StreamRow, table_of
from blocks.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.store.claims import Holder
    from blocks.store.forwarding.rejected_events import RejectedEvent, ReplayBatch

_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)

HEALTHY: dict[str, Any] = {**HEALTHY_STREAM, "unconfirmed": 0}
"""What is written where nothing is in the way (any more)."""
AcknowledgedAhead = dict[int, tuple[int, int]]
"""By the last id of a portion: how many events were sent, and kept back by rules."""


@dataclass(frozen=True, slots=True)
class PositionView:
    """How far a forward is in a stream, as a run finds it. Times are nanoseconds since 1970.

    `plan` holds the last ids of the portions that were on their way when somebody last wrote it, and `ahead` those of
    them that the SIEM has said yes to, with how many events were sent and kept back by rules. `replays` is how often a
    person has set the position to another event.
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
    """What became of one portion, all of it: its ends, and how many were sent and kept back by rules.

    `was_ahead`: it was left by an earlier run, which has written what was refused of it.
    """

    first_id: int
    last_id: int
    sent: int
    filtered: int
    rejected: tuple[RejectedEvent, ...] = ()
    was_ahead: bool = False


def of_pair(engine: Engine, pair_id: str) -> list[PositionView]:
    """The positions of a forward, one for each stream of its source; those of new streams are made.

    Raises ThirdPartyConfigError where the forward was removed.
    """
    with writing(engine) as connection:
        row = create_within(connection, pair_id)
        if row is None:
            raise _removed()
        found = connection.execute(select(_positions).where(_positions.c.pair_id == pair_id)).all()
        streams = connection.execute(select(_streams).where(_streams.c.source_id == row.source_id)).all()
    apis = {stream.id: Api(stream.api) for stream in streams}
    return [_view(one, row.siem, apis[one.stream_id]) for one in found if one.stream_id in apis]


def get(engine: Engine, claim: PositionClaim) -> PositionView:
    """The position of a claim as it is now."""
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(select(_positions).where(*_key(claim.pair_id, claim.stream_id))).one()
    return _view(row, claim.siem, claim.api)


def acquire(engine: Engine, view: PositionView, holder: str) -> PositionClaim | None:
    """Take the stream's position for `holder`.

    None where another run has it and its claim has not expired, where the forward is paused, or its source deleted.
    A run whose process is known to be dead has nothing.
    """
    now_ns, this = clock.now_ns(), _key(view.pair_id, view.stream_id)
    taken = update(_positions).where(*this).values(claims.acquire_values(_positions, holder, now_ns))
    with writing(engine) as connection:
        is_open = _locked(connection, view.pair_id) is not None and _is_open(connection, view.pair_id)
        taken = taken.where(claims.is_free(connection, _positions, now_ns, *this) | (_positions.c.holder == holder))
        fence = connection.execute(taken.returning(_positions.c.fence)).scalar() if is_open else None
    return None if fence is None else PositionClaim(view.pair_id, view.siem, view.stream_id, view.api, holder, fence)


def renew(engine: Engine, claim: PositionClaim, *, for_seconds: float = 0) -> None:
    """Keep the claim for a wait of `for_seconds` and the attempt after it. Raises ClaimLostError."""
    with writing(engine) as connection:
        _write(connection, claim, **renew_values(clock.now_ns(), int(for_seconds * 1e9)))


def release(engine: Engine, claim: PositionClaim) -> None:
    """Give the position back. A claim that was lost meanwhile is nothing to give back."""
    with writing(engine) as connection:
        connection.execute(_held(claim).values(RELEASE_VALUES))


def advance(
    engine: Engine,
    claim: PositionClaim,
    step: BatchOutcome | None,
    in_flight: Sequence[int],
    ahead: AcknowledgedAhead | None = None,
) -> None:
    """Move the position behind a portion (None: it stays), and write the plan, in one transaction.

    `plan`: the last ids of the portions that are on their way, or about to be; `ahead`: those of them that an earlier
    run has sent. Raises ClaimLostError.
    """
    now_ns = clock.now_ns()
    values: dict[str, Any] = {"in_flight": _written(in_flight, ahead or {}), **renew_values(now_ns)}
    with writing(engine) as connection:
        if step is None:
            _advance(connection, claim, _HELD, values)
            return
        more = {"more_sent": step.sent, "more_filtered": step.filtered}
        values |= {"acknowledged_id": step.last_id, "progress_ns": now_ns, **HEALTHY}
        _advance(connection, claim, _COUNTED, values | more)
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
    """Write which portions the SIEM has said yes to behind one that failed; the position stays before that one.

    They are counted once the position passes them. Raises ClaimLostError.
    """
    with writing(engine) as connection:
        _write(connection, claim, in_flight=_written(in_flight, ahead), **renew_values(clock.now_ns()))
        for step in steps:
            rejected_events.record_passed(connection, claim, step.first_id, step.last_id, step.rejected)


def record_replayed(engine: Engine, claim: PositionClaim, sent: ReplayBatch, step: BatchOutcome) -> None:
    """Events that the SIEM had refused were sent again: what it took, or a rule dropped, is refused no more.

    The position stays. Raises ClaimLostError.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        _write(connection, claim, **_counted(step, now_ns), **renew_values(now_ns))
        rejected_events.record_replayed(connection, claim, sent, step.rejected)
        _recover(connection, claim)


def finish(engine: Engine, claim: PositionClaim) -> None:
    """All that there was has been sent: the position is healthy, and free for the next run."""
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
    """Remember an error. Returns since when it has been failing, in ns. Raises ClaimLostError.

    `since_ns` is the first failure that the store could not be told of, where there was one. `unconfirmed`: the SIEM
    may have taken what was sent, and did not confirm it.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        values = _error(error, since_ns or now_ns, now_ns)
        if unconfirmed:
            values["unconfirmed"] = _positions.c.unconfirmed + 1
        row = _write(connection, claim, **values)
        failing_since_ns = int(row.failing_since_ns)
        if now_ns - failing_since_ns >= REPORTED_AFTER_NS and not _has_stopped(connection, claim):
            _begin(connection, claim, _condition(claim.siem, error, WARNING), failing_since_ns)
    return failing_since_ns


def count_unconfirmed(engine: Engine, claim: PositionClaim) -> int:
    """How many attempts since the last progress the SIEM has not confirmed, whichever runs made them."""
    asked = select(_positions.c.unconfirmed).where(*_key(claim.pair_id, claim.stream_id))
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(asked).scalar_one())


def stop(
    engine: Engine, claim: PositionClaim, error: SourceError, fingerprint: str | None, *, noted: bool = False
) -> None:
    """Quit: nothing is sent while the SIEM has this fingerprint, or until someone resumes it.

    None: the next run tries again. `noted`: `note_failure` has counted the attempt already.
    """
    now_ns = clock.now_ns()
    values = _error(error, now_ns, now_ns)
    if noted:
        del values["failed_attempts"]
    with writing(engine) as connection:
        row = _write(connection, claim, **values, stopped_fingerprint=fingerprint, **RELEASE_VALUES)
        condition = _condition(claim.siem, error, ERROR)
        if fingerprint is not None and (noted or isinstance(error, ThirdPartyConfigError)):
            condition = replace(condition, hint=_hint(claim.siem, error))
        _begin(connection, claim, condition, row.failing_since_ns)


def _hint(siem: str, error: SourceError) -> str:
    """What to do about an error that stops a pair. One that was tried again and again is not tried again by itself."""
    again = f"`{command_line('siem test', siem)}` tries it; `{command_line('siem resume', siem)}` sends again."
    return join_sentences(error.hint, again) if isinstance(error, ThirdPartyConfigError) else f"{GIVEN_UP} {again}"


def record_pair_failure(engine: Engine, pair_id: str, error: SourceError) -> None:
    """Remember an error that keeps the whole forward from being opened: its block is missing, or not valid.

    Each run tries again, so a mended block goes on by itself. A forward that was removed meanwhile has no errors.
    """
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        row = create_within(connection, pair_id)
        if row is None:
            return
        noted = update(_positions).where(_positions.c.pair_id == pair_id)
        noted = noted.values(**_error(error, now_ns, now_ns), stopped_fingerprint=None)
        since_ns = min(connection.scalars(noted.returning(_positions.c.failing_since_ns)), default=now_ns)
        health.begin(connection, row.source_id, _condition(row.siem, error, ERROR), since_ns=since_ns)


def create_within(connection: Connection, pair_id: str) -> Row[Any] | None:
    """Make the positions that a forward has not got yet. Returns the forward, or None where it was removed."""
    row = _locked(connection, pair_id)
    if row is not None:
        for stream_id in connection.scalars(select(_streams.c.id).where(_streams.c.source_id == row.source_id)).all():
            insert_new(connection, _positions, {"pair_id": pair_id, "stream_id": stream_id, "acknowledged_id": 0})
    return row


def recover_within(connection: Connection, pair_id: str) -> None:
    """Forget the errors of a forward, and take the claims away that wait because of one. Those without stay."""
    failing = _positions.c.failing_since_ns.is_not(None) | _positions.c.stopped_fingerprint.is_not(None)
    _restart(connection, _positions.c.pair_id == pair_id, failing)


def restart_within(connection: Connection, pair_id: str) -> None:
    """Forget the errors of a forward and take its claims away, so that the next run sends from each position."""
    _restart(connection, _positions.c.pair_id == pair_id)


def _restart(connection: Connection, *which: Any) -> None:
    revoked = update(_positions).where(*which)
    connection.execute(revoked.values(fence=_positions.c.fence + 1, **RELEASE_VALUES, **HEALTHY))


def restart_source_within(connection: Connection, source_id: str) -> None:
    """The same of all forwards of a source."""
    of_source = select(_pairs.c.id).where(_pairs.c.source_id == source_id).with_for_update()
    for pair_id in connection.scalars(of_source).all():
        restart_within(connection, pair_id)


def forget_ahead_within(connection: Connection, pair_id: str) -> None:
    """Let what was sent ahead of the positions be sent again. The plans stay."""
    of_pair = _positions.c.pair_id == pair_id
    for row in connection.execute(select(_positions).where(of_pair, _positions.c.in_flight.is_not(None))).all():
        ends, _ = _read(row.in_flight, row.acknowledged_id)
        here = update(_positions).where(of_pair, _positions.c.stream_id == row.stream_id)
        connection.execute(here.values(in_flight=_written(ends, {})))


def last_acknowledged(row: Row[Any]) -> int:
    """The last event of a position, with `acknowledged_id` and `plan`, that the SIEM has said yes to."""
    _, ahead = _read(row.in_flight, row.acknowledged_id)
    return max([int(row.acknowledged_id), *ahead])


def reset_within(connection: Connection, pair_id: str) -> None:
    """Let a forward send all events: it has another target, which has none of them yet."""
    counts = {name: _positions.c[name] + 1 for name in ("fence", "replays")}
    moved = update(_positions).where(_positions.c.pair_id == pair_id)
    connection.execute(moved.values(acknowledged_id=0, in_flight=None, **counts, **RELEASE_VALUES, **HEALTHY))


def move_within(connection: Connection, pair_id: str, stream_id: int, event_id: int) -> None:
    """Let a position be another one, under no claim: whoever has one writes nothing from now on."""
    counts = {name: _positions.c[name] + 1 for name in ("fence", "replays")}
    moved = update(_positions).where(*_key(pair_id, stream_id))
    connection.execute(moved.values(acknowledged_id=event_id, in_flight=None, **counts, **RELEASE_VALUES, **HEALTHY))


def tracker(siem: str) -> str:
    """Under which a forward's errors are told, see `blocks.health`."""
    return f"forward/{siem}"


def _locked(connection: Connection, pair_id: str) -> Row[Any] | None:
    """The forward, which nobody changes or removes until the transaction is over; None where it was removed."""
    return connection.execute(select(_pairs).where(_pairs.c.id == pair_id).with_for_update()).one_or_none()


def _is_open(connection: Connection, pair_id: str) -> bool:
    """Asked once the forward is locked: what was done with it meanwhile is seen then."""
    asked = select(_pairs.c.id).join(_sources, _sources.c.id == _pairs.c.source_id)
    asked = asked.where(_pairs.c.id == pair_id, _pairs.c.paused_ns.is_(None), _sources.c.deleted_ns.is_(None))
    return connection.execute(asked).first() is not None


def _removed() -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        "The SIEM was removed meanwhile, so nothing is sent.",
        hint="`onepassword-source siem add` makes it anew; `onepassword-source siem list` shows those there are.",
        code="unknown-siem",
    )


def _key(pair_id: str, stream_id: int) -> tuple[Any, ...]:
    return _positions.c.pair_id == pair_id, _positions.c.stream_id == stream_id


def _held(claim: PositionClaim) -> Any:
    return update(_positions).where(*_key(claim.pair_id, claim.stream_id), _positions.c.fence == claim.fence)


def _write(connection: Connection, claim: PositionClaim, **values: Any) -> Row[Any]:
    row = connection.execute(_held(claim).values(values).returning(_positions)).first()
    if row is None:
        raise _lost(claim)
    return row


def _advance(connection: Connection, claim: PositionClaim, statement: Any, values: dict[str, Any]) -> None:
    key = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "of_fence": claim.fence}
    if not connection.execute(statement, values | key).rowcount:
        raise _lost(claim)


def _lost(claim: PositionClaim) -> ClaimLostError:
    return ClaimLostError(
        f"Another run forwards {claim.api} to {claim.siem} now, or it was changed meanwhile, so this one stops.",
        hint="Nothing is lost: the next run goes on from the last event that the SIEM has said yes to.",
        code="claim",
    )


def _counted(step: BatchOutcome, now_ns: int) -> dict[str, Any]:
    counts = {"sent": _positions.c.sent + step.sent, "filtered": _positions.c.filtered + step.filtered}
    return {**counts, "progress_ns": now_ns, **HEALTHY}


def _source_of(connection: Connection, pair_id: str) -> str:
    return str(connection.scalar(_SOURCE_OF, {"of_pair": pair_id}))


def _error(error: SourceError, since_ns: int, now_ns: int) -> dict[str, Any]:
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
    health.begin(connection, _source_of(connection, claim.pair_id), condition, since_ns=since_ns)


def _has_stopped(connection: Connection, claim: PositionClaim) -> bool:
    """Whether the forward has quit a stream: that was told of as an error, and another one's retrying is no news."""
    health.lock(connection, _source_of(connection, claim.pair_id), tracker(claim.siem))
    stopped = select(_positions.c.stream_id).where(
        _positions.c.pair_id == claim.pair_id, _positions.c.stopped_fingerprint.is_not(None)
    )
    return connection.execute(stopped.limit(1)).first() is not None


def _recover(connection: Connection, claim: PositionClaim) -> None:
    """The error of a forward is over when none of its streams has one."""
    source_id = _source_of(connection, claim.pair_id)
    if not health.is_open(connection, source_id, tracker(claim.siem)):
        return
    health.lock(connection, source_id, tracker(claim.siem))
    failing = select(_positions.c.stream_id).where(
        _positions.c.pair_id == claim.pair_id, _positions.c.failing_since_ns.is_not(None)
    )
    if connection.execute(failing.limit(1)).first() is None:
        sentence = f"Events are forwarded to {claim.siem} again."
        health.end(connection, source_id, tracker(claim.siem), sentence)


def _written(in_flight: Sequence[int], ahead: AcknowledgedAhead) -> str | None:
    kept = {end: counts for end, counts in ahead.items() if end in in_flight}
    return json.dumps({"ends": list(in_flight), "ahead": kept} if kept else list(in_flight)) if in_flight else None


def _read(in_flight: str | None, acknowledged_id: int) -> tuple[tuple[int, ...], AcknowledgedAhead]:
    found = json.loads(in_flight or "[]")
    ends, ahead = (found, {}) if isinstance(found, list) else (found["ends"], found["ahead"])
    return (
        tuple(end for end in ends if end > acknowledged_id),
        {int(end): (sent, filtered) for end, (sent, filtered) in ahead.items() if int(end) > acknowledged_id},
    )


def _view(row: Row[Any], siem: str, api: Api) -> PositionView:
    in_flight, ahead = _read(row.in_flight, row.acknowledged_id)
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


# Made once: to build a statement costs more than to execute it, and each batch that is sent moves a position.
_HELD = update(_positions).where(
    _positions.c.pair_id == bindparam("of_pair"),
    _positions.c.stream_id == bindparam("of_stream"),
    _positions.c.fence == bindparam("of_fence"),
)
_COUNTED = _HELD.values(
    sent=_positions.c.sent + bindparam("more_sent"), filtered=_positions.c.filtered + bindparam("more_filtered")
)
_SOURCE_OF = select(_pairs.c.source_id).where(_pairs.c.id == bindparam("of_pair"))
