"""Dead letters: events that a SIEM rejected, kept with its answer until a replay succeeds or a person discards them.

A pair's positions have moved past these events. `replay` marks them to be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, text, tuple_, update

from blocks import clock
from blocks.command_line import command_line
from blocks.health import WARNING, Condition
from blocks.store import audit_log, health
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import EventRow, PairRow, PositionRow, RejectedEventRow, table_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement, Connection, Engine

    from blocks.store.forwarding.records import ForwardPair, PositionClaim, ReplayBatch

PAGE = 100
EventKey = tuple[int, int]
"""The stream and the id of an event."""

_events = table_of(EventRow)
_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_rejected = table_of(RejectedEventRow)


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that a SIEM rejected, and its answer."""

    event_id: int
    uuid: str
    code: str
    answer: str


@dataclass(frozen=True, slots=True)
class RejectedEventView:
    """A rejected event with its body, which is None if the event was pruned. Times are ns since 1970."""

    stream_id: int
    event_id: int
    api: str
    uuid: str
    code: str
    answer: str
    rejected_ns: int
    replay_ns: int | None
    body: str | None

    @property
    def key(self) -> EventKey:
        return self.stream_id, self.event_id


def list_page(engine: Engine, pair_id: str, after: EventKey = (-1, -1), size: int = PAGE) -> list[RejectedEventView]:
    """Return a page of a pair's rejected events, by stream and id. `after`: the last key of the previous page."""
    behind = {"stream": after[0], "event": after[1]}
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_PAGE, {"pair_id": pair_id, "size": size, **behind})
        return [RejectedEventView(**row._mapping) for row in rows]  # noqa: SLF001 - a public member


def discard(
    engine: Engine, pair: ForwardPair, only: Collection[EventKey] | None = None, reason: str | None = None
) -> int:
    """Delete events from the list of those that a SIEM rejected, all or `only` some: they are not sent again.

    The `reason` is recorded in the audit log. Returns how many events.
    """
    of_pair = _positions.c.pair_id == pair.id
    with writing(engine) as connection:
        # Lock the positions first, in the same order as runs do: a different order could deadlock.
        connection.execute(update(_positions).where(of_pair).values(rejected=_positions.c.rejected))
        number = connection.execute(delete(_rejected).where(chosen(pair, only))).rowcount
        left = select(func.count()).where(
            _rejected.c.pair_id == pair.id, _rejected.c.stream_id == _positions.c.stream_id
        )
        connection.execute(update(_positions).where(of_pair).values(rejected=left.scalar_subquery()))
        if (
            connection.execute(select(_rejected.c.event_id).where(_rejected.c.pair_id == pair.id).limit(1)).first()
            is None
        ):
            health.end(
                connection, pair.source_id, tracker(pair.siem), f"The events that {pair.siem} rejected were discarded."
            )
        details = {"siem": pair.siem, "rejected": number, **({"reason": reason} if reason else {})}
        audit_log.record(connection, "siem discard", pair.source_id, pair.source, **details)
    return number


def chosen(pair: ForwardPair, only: Collection[EventKey] | None) -> ColumnElement[bool]:
    """Match the rejected events of a pair, all or `only` some."""
    of_pair = _rejected.c.pair_id == pair.id
    return of_pair if only is None else of_pair & tuple_(_rejected.c.stream_id, _rejected.c.event_id).in_(only)


def record_passed(
    connection: Connection, claim: PositionClaim, first_id: int, last_id: int, items: Sequence[RejectedEvent]
) -> None:
    """Record that the SIEM rejected only `items` of a range of ids. The caller has locked the position's row."""
    bounds = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "first": first_id, "last": last_id}
    _replace(connection, claim, connection.execute(_DELETE, bounds).rowcount, items)


def record_replayed(
    connection: Connection, claim: PositionClaim, sent: ReplayBatch, items: Sequence[RejectedEvent]
) -> None:
    """Do the same as `record_passed` for a batch of marked events."""
    bounds = {"of_pair": claim.pair_id, "of_stream": claim.stream_id, "mark": sent.mark_ns}
    bounds |= {"first": sent.events[0].id, "last": sent.events[-1].id}
    _replace(connection, claim, connection.execute(_DELETE_MARKED, bounds).rowcount, items)


def tracker(siem: str) -> str:
    """Return the tracker of the health events about rejected events, see `blocks.health`."""
    return f"rejected/{siem}"


def _replace(connection: Connection, claim: PositionClaim, deleted: int, items: Sequence[RejectedEvent]) -> None:
    if items:
        connection.execute(insert(_rejected), [_row(claim, item) for item in items])
    if more := len(items) - deleted:
        key = (_positions.c.pair_id == claim.pair_id) & (_positions.c.stream_id == claim.stream_id)
        connection.execute(update(_positions).where(key).values(rejected=_positions.c.rejected + more))
    if deleted or items:
        _report(connection, claim, items)


def _report(connection: Connection, claim: PositionClaim, items: Sequence[RejectedEvent]) -> None:
    source_id = str(connection.scalar(select(_pairs.c.source_id).where(_pairs.c.id == claim.pair_id)))
    if items:
        health.begin(connection, source_id, _condition(claim.siem, items[-1]))
        return
    health.lock(connection, source_id, tracker(claim.siem))
    if not _has_any(connection, claim.pair_id):
        sentence = f"The events that {claim.siem} had rejected were sent again; {claim.siem} rejected none of them."
        health.end(connection, source_id, tracker(claim.siem), sentence)


def _has_any(connection: Connection, pair_id: str) -> bool:
    query = select(_rejected.c.event_id).where(_rejected.c.pair_id == pair_id).limit(1)
    return connection.execute(query).first() is not None


def _condition(siem: str, last: RejectedEvent) -> Condition:
    return Condition(
        tracker=tracker(siem),
        name="EventsRejected",
        severity=WARNING,
        description=f"{siem} rejects events; its answer: {last.answer}",
        error_code=last.code or None,
        hint=f"They are kept: `{command_line('siem rejected', siem)}` lists them. Fix the SIEM or add a rule, then "
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
# Built once: each batch that is sent executes it, and building a statement costs more than executing it.
_DELETE = delete(_rejected).where(
    _rejected.c.pair_id == bindparam("of_pair"),
    _rejected.c.stream_id == bindparam("of_stream"),
    _rejected.c.event_id.between(bindparam("first"), bindparam("last")),
)
_DELETE_MARKED = _DELETE.where(_rejected.c.replay_ns == bindparam("mark"))
