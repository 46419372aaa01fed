"""Send events again: those received since a time, or those that a SIEM rejected.

For the first, the positions of a pair move back. For the second, rejected events are marked, and the next run sends
those that are marked before anything new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, text, update

from blocks import clock
from blocks.siem.formats.event import OutgoingEvent
from blocks.store import audit_log
from blocks.store.engine import reading, store_errors, writing
from blocks.store.forwarding import positions, rejected_events
from blocks.store.forwarding.records import ReplayBatch
from blocks.store.forwarding.unsent_events import last_id_before
from blocks.store.tables import EventRow, PositionRow, RejectedEventRow, table_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine

    from blocks.store.forwarding.records import ForwardPair, PositionClaim
    from blocks.store.forwarding.rejected_events import EventKey

_events = table_of(EventRow)
_positions = table_of(PositionRow)
_rejected = table_of(RejectedEventRow)


def resend_since(engine: Engine, pair: ForwardPair, since_ns: int) -> int:
    """Rewind the pair to resend events received at `since_ns` (ns since 1970) or later. Returns how many events.

    Events that it has not sent yet are still sent, however old they are.
    """
    with writing(engine) as connection:
        count = 0
        for stream_id, acknowledged_id, newest_sent in positions.lock_within(connection, pair.id):
            start = last_id_before(connection, stream_id, since_ns)
            if start is not None and start < newest_sent:
                count += _count_between(connection, stream_id, start, newest_sent)
                positions.move_within(connection, pair.id, stream_id, min(start, acknowledged_id))
        audit_log.record(connection, "siem replay", pair.source_id, pair.source, siem=pair.siem, events=count)
    return count


def count_sent_since(engine: Engine, pair: ForwardPair, since_ns: int) -> int:
    """Count the events that `resend_since` would resend: received at `since_ns` or later, and acknowledged."""
    query = select(_positions.c.stream_id, _positions.c.acknowledged_id, _positions.c.in_flight)
    with store_errors(), reading(engine).connect() as connection:
        count = 0
        for row in connection.execute(query.where(_positions.c.pair_id == pair.id)).all():
            start, newest_sent = last_id_before(connection, row.stream_id, since_ns), positions.last_acknowledged(row)
            if start is not None and start < newest_sent:
                count += _count_between(connection, row.stream_id, start, newest_sent)
        return count


def resend_rejected(engine: Engine, pair: ForwardPair, only: Collection[EventKey] | None = None) -> int:
    """Mark rejected events that are still stored, all or `only` some, for replay by the next run.

    Returns how many of these are marked.
    """
    is_stored = select(_events.c.id).where(_events.c.id == _rejected.c.event_id).exists()
    wanted = rejected_events.chosen(pair, only)
    with writing(engine) as connection:
        mark = update(_rejected).where(wanted, _rejected.c.replay_ns.is_(None), is_stored)
        connection.execute(mark.values(replay_ns=clock.now_ns()))
        marked = select(func.count()).where(wanted, _rejected.c.replay_ns.is_not(None), is_stored)
        number = connection.scalar(marked) or 0
        details = {"siem": pair.siem, "rejected": number}
        audit_log.record(connection, "siem replay", pair.source_id, pair.source, **details)
    return number


def marked_batches(engine: Engine, claim: PositionClaim, size: int) -> Iterator[ReplayBatch]:
    """Yield the events marked for replay in the claim's stream, once each; a batch has at most `size`, of one mark."""
    mark_ns, event_id = -1, -1
    bounds = {"pair_id": claim.pair_id, "stream": claim.stream_id, "size": size}
    while True:
        with store_errors(), reading(engine).connect() as connection:
            rows = connection.execute(_MARKED, {**bounds, "mark": mark_ns, "event": event_id}).all()
        if not rows:
            return
        mark_ns = rows[0].replay_ns
        events = [OutgoingEvent(*row[1:]) for row in rows if row.replay_ns == mark_ns]
        event_id = events[-1].id
        yield ReplayBatch(mark_ns, events)


def _count_between(connection: Connection, stream_id: int, start: int, end: int) -> int:
    is_between = (_events.c.stream_id == stream_id) & (_events.c.id > start) & (_events.c.id <= end)
    return int(connection.scalar(select(func.count()).where(is_between)) or 0)


_MARKED = text(
    "SELECT r.replay_ns, e.id, e.uuid, e.time_ns, e.received_ns, e.body "
    "FROM rejected_events r JOIN events e ON e.id = r.event_id "
    "WHERE r.pair_id = :pair_id AND r.stream_id = :stream AND r.replay_ns IS NOT NULL "
    "AND (r.replay_ns, r.event_id) > (:mark, :event) ORDER BY r.replay_ns, r.event_id LIMIT :size"
)
