"""What SIEMs refused for good: kept with their words until it is sent again and accepted, or dropped by a person.

A forward's positions have moved behind these events. Those that are marked are sent again by the next run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, text, update

from blocks import clock
from blocks.command_line import command_line
from blocks.health import WARNING, Condition
from blocks.siem.formats.event import OutgoingEvent
from blocks.store import audit_log, health
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import EventRow, PairRow, PositionRow, RejectedEventRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from blocks.store.forwarding.records import ForwardPair, PositionClaim

PAGE = 100

_events = table_of(EventRow)
_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_rejected = table_of(RejectedEventRow)


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that a SIEM refused for good, and what it said."""

    event_id: int
    uuid: str
    code: str
    answer: str


@dataclass(frozen=True, slots=True)
class RejectedEventView:
    """A refused event as it is shown. `body` is None where the event was pruned since. Times are ns since 1970."""

    stream_id: int
    event_id: int
    api: str
    uuid: str
    code: str
    answer: str
    rejected_ns: int
    replay_ns: int | None
    body: str | None


@dataclass(frozen=True, slots=True)
class ReplayBatch:
    """Events of one stream to be sent once more; `mark_ns` is when a person asked for it."""

    mark_ns: int
    events: Sequence[OutgoingEvent]


def list_page(
    engine: Engine, pair_id: str, after: RejectedEventView | None = None, size: int = PAGE
) -> list[RejectedEventView]:
    """What the SIEM of a forward has refused, by stream and id; the next page begins behind the last one of this."""
    behind = {"stream": after.stream_id, "event": after.event_id} if after else {"stream": -1, "event": -1}
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_PAGE, {"pair_id": pair_id, "size": size, **behind})
        return [RejectedEventView(**row._mapping) for row in rows]  # noqa: SLF001 - a public member


def replay_batches(engine: Engine, claim: PositionClaim, size: int) -> Iterator[ReplayBatch]:
    """What is marked in the claim's stream, at most `size` events of one mark at a time; each comes once."""
    mark_ns, event_id = -1, -1
    of = {"pair_id": claim.pair_id, "stream": claim.stream_id, "size": size}
    while True:
        with store_errors(), reading(engine).connect() as connection:
            rows = connection.execute(_MARKED, {**of, "mark": mark_ns, "event": event_id}).all()
        if not rows:
            return
        mark_ns = rows[0].replay_ns
        events = [OutgoingEvent(*row[1:]) for row in rows if row.replay_ns == mark_ns]
        event_id = events[-1].id
        yield ReplayBatch(mark_ns, events)


def replay(engine: Engine, pair: ForwardPair) -> int:
    """Let the next run send again what its SIEM has refused and is still stored. Returns how many events."""
    there = select(_events.c.id).where(_events.c.id == _rejected.c.event_id).exists()
    of_pair = _rejected.c.pair_id == pair.id
    with writing(engine) as connection:
        marked = update(_rejected).where(of_pair, _rejected.c.replay_ns.is_(None), there)
        connection.execute(marked.values(replay_ns=clock.now_ns()))
        waiting = select(func.count()).where(of_pair, _rejected.c.replay_ns.is_not(None), there)
        number = connection.scalar(waiting) or 0
        details = {"siem": pair.siem, "rejected": number}
        audit_log.record(connection, "siem replay", pair.source_id, pair.source, **details)
    return number


def discard(engine: Engine, pair: ForwardPair) -> int:
    """Forget what a SIEM has refused: it is not sent again. Returns how many events."""
    with writing(engine) as connection:
        # The positions first, as runs do.
        connection.execute(update(_positions).where(_positions.c.pair_id == pair.id).values(rejected=0))
        number = connection.execute(delete(_rejected).where(_rejected.c.pair_id == pair.id)).rowcount
        health.end(connection, pair.source_id, tracker(pair.siem), f"What {pair.siem} had refused is left out.")
        details = {"siem": pair.siem, "rejected": number}
        audit_log.record(connection, "siem discard", pair.source_id, pair.source, **details)
    return number


def record_passed(
    connection: Connection, claim: PositionClaim, first_id: int, last_id: int, items: Sequence[RejectedEvent]
) -> None:
    """The events in a range were sent or dropped by rules, but for `items`. The caller holds the position's row."""
    bounds = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "first": first_id, "last": last_id}
    _replace(connection, claim, connection.execute(_FORGET, bounds).rowcount, items)


def record_replayed(
    connection: Connection, claim: PositionClaim, sent: ReplayBatch, items: Sequence[RejectedEvent]
) -> None:
    """The same of marked events that were sent again."""
    bounds = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "mark": sent.mark_ns}
    bounds |= {"first": sent.events[0].id, "last": sent.events[-1].id}
    _replace(connection, claim, connection.execute(_FORGET_MARKED, bounds).rowcount, items)


def tracker(siem: str) -> str:
    """Under which it is told that a SIEM refuses events, see `blocks.health`."""
    return f"rejected/{siem}"


def _replace(connection: Connection, claim: PositionClaim, gone: int, items: Sequence[RejectedEvent]) -> None:
    if items:
        connection.execute(insert(_rejected), [_row(claim, item) for item in items])
    if more := len(items) - gone:
        key = (_positions.c.pair_id == claim.pair_id) & (_positions.c.stream_id == claim.stream_id)
        connection.execute(update(_positions).where(key).values(rejected=_positions.c.rejected + more))
    if gone or items:
        _tell(connection, claim, items)


def _tell(connection: Connection, claim: PositionClaim, items: Sequence[RejectedEvent]) -> None:
    source_id = str(connection.scalar(select(_pairs.c.source_id).where(_pairs.c.id == claim.pair_id)))
    if items:
        health.begin(connection, source_id, _condition(claim.siem, items[-1]))
        return
    health.lock(connection, source_id, tracker(claim.siem))
    left = select(_rejected.c.event_id).where(_rejected.c.pair_id == claim.pair_id).limit(1)
    if connection.execute(left).first() is None:
        sentence = f"What {claim.siem} had refused was sent again, and nothing of it was refused."
        health.end(connection, source_id, tracker(claim.siem), sentence)


def _condition(siem: str, last: RejectedEvent) -> Condition:
    return Condition(
        tracker=tracker(siem),
        name="EventsRejected",
        severity=WARNING,
        description=f"{siem} refuses events for good; it says: {last.answer}",
        error_code=last.code or None,
        hint=f"They are kept: `{command_line('siem rejected', siem)}` lists them. Mend the SIEM or add a rule, then "
        f"`{command_line('siem replay', siem, options=('--rejected',))}` sends them again.",
    )


def _row(claim: PositionClaim, item: RejectedEvent) -> dict[str, Any]:
    return {
        "pair_id": claim.pair_id,
        "stream_id": claim.stream_id,
        "event_id": item.event_id,
        "uuid": item.uuid,
        "rejected_ns": clock.now_ns(),
        "code": item.code,
        "answer": item.answer,
    }


_PAGE = text(
    "SELECT r.stream_id, r.event_id, s.api, r.uuid, r.code, r.answer, r.rejected_ns, r.replay_ns, e.body "
    "FROM rejected_events r JOIN streams s ON s.id = r.stream_id LEFT JOIN events e ON e.id = r.event_id "
    "WHERE r.pair_id = :pair_id AND (r.stream_id, r.event_id) > (:stream, :event) "
    "ORDER BY r.stream_id, r.event_id LIMIT :size"
)
_MARKED = text(
    "SELECT r.replay_ns, e.id, e.uuid, e.time_ns, e.received_ns, e.body "
    "FROM rejected_events r JOIN events e ON e.id = r.event_id "
    "WHERE r.pair_id = :pair_id AND r.stream_id = :stream AND r.replay_ns IS NOT NULL "
    "AND (r.replay_ns, r.event_id) > (:mark, :event) ORDER BY r.replay_ns, r.event_id LIMIT :size"
)
# Made once: each batch that is sent executes it, and to build it costs more than that.
_FORGET = delete(_rejected).where(
    _rejected.c.pair_id == bindparam("of_pair"),
    _rejected.c.stream_id == bindparam("of_stream"),
    _rejected.c.event_id.between(bindparam("first"), bindparam("last")),
)
_FORGET_MARKED = _FORGET.where(_rejected.c.replay_ns == bindparam("mark"))
