"""The backlog: which pairs of a source and a SIEM have events that a `forward` run can send now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, select

from blocks import clock
from blocks.store import claims
from blocks.store.engine import reading, store_errors
from blocks.store.forwarding import forward_pairs
from blocks.store.forwarding.unsent_events import GRACE_NS, HOUR_NS
from blocks.store.tables import EventRow, PairRow, PositionRow, RejectedEventRow, StreamRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from blocks.store.forwarding.records import ForwardPair

ARCHIVE = "archive"
_events = table_of(EventRow)
_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_rejected = table_of(RejectedEventRow)
_streams = table_of(StreamRow)


def pairs_with_work(engine: Engine, source: str) -> list[ForwardPair]:
    """Return the pairs of the named source that have events to send, or rejected events to replay.

    Not returned: paused pairs, pairs of a deleted source, and SIEM pairs of a source for which forwarding is not
    enabled. A stream is skipped while a run holds its claim (it sends or waits for its next attempt), and after it
    stopped in error: a changed SIEM, a resume, or the pair's slow schedule restarts it. An archive waits for the end
    of the hour. Raises FirstPartyGenericError if the store does not answer.
    """
    pairs = [pair for pair in forward_pairs.find_all(engine, source=source) if pair.paused_ns is None]
    if not pairs:
        return []
    with store_errors(), reading(engine).connect() as connection:
        ids = set(connection.scalars(_ids_with_work(connection, [pair.id for pair in pairs], clock.now_ns())))
    ready = [pair for pair in pairs if pair.id in ids]
    for_siem = bool(ready) and forward_pairs.source_metadata(engine, ready[0].source_id).for_siem
    return [pair for pair in ready if for_siem or pair.kind == ARCHIVE]


def _ids_with_work(connection: Connection, pair_ids: list[str], now_ns: int) -> Any:
    acknowledged_id = func.coalesce(_positions.c.acknowledged_id, 0)
    of_pair = (_positions.c.pair_id == _pairs.c.id) & (_positions.c.stream_id == _streams.c.id)
    # A position that does not exist yet has no holder: the outer join makes it free.
    free = claims.is_free(connection, _positions, now_ns, _positions.c.pair_id.in_(pair_ids))
    return (
        select(_pairs.c.id)
        .distinct()
        .join(_streams, _streams.c.source_id == _pairs.c.source_id)
        .outerjoin(_positions, of_pair)
        .where(_pairs.c.id.in_(pair_ids), _positions.c.stopped_fingerprint.is_(None), free)
        .where(_has_events(acknowledged_id, now_ns) | _has_rejected())
    )


def _has_events(acknowledged_id: Any, now_ns: int) -> Any:
    # `+ 0` rules out the index on stream_id, with which either database scans the whole stream.
    behind = (_events.c.stream_id + 0 == _streams.c.id) & (_events.c.id > acknowledged_id)
    has_later = exists().where(behind).correlate(_streams, _positions)
    first = select(_events.c.received_ns).where(behind).order_by(_events.c.id).limit(1)
    current_hour_ns = (now_ns - GRACE_NS) // HOUR_NS * HOUR_NS
    is_over = first.correlate(_streams, _positions).scalar_subquery() < current_hour_ns
    # The newest link of a stream ends with its newest event. A stream of an older store may have no links.
    has_unsent = (_streams.c.link_id > acknowledged_id) | (_streams.c.link_id.is_(None) & has_later)
    return has_unsent & ((_pairs.c.kind != ARCHIVE) | is_over)


def _has_rejected() -> Any:
    of_position = (_rejected.c.pair_id == _positions.c.pair_id) & (_rejected.c.stream_id == _positions.c.stream_id)
    marked = _rejected.c.replay_ns.is_not(None) & exists().where(_events.c.id == _rejected.c.event_id)
    return exists().where(of_position, marked).correlate(_positions)
