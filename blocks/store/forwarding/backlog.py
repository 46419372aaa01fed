"""The pairs of a source and a SIEM for which a run of `forward` has something to do now."""

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
    """The pairs of the source of that name that have events to send, or rejected ones to send again.

    Left out are pairs that are paused, those whose source is deleted or does not forward to SIEMs, streams that a run
    holds (it sends or waits for its next attempt), and streams that were stopped in error: a changed SIEM, a resume,
    or the slow schedule of the pair begins those again. An archive waits for the end of the hour.
    Raises FirstPartyGenericError where the store does not answer.
    """
    known = [pair for pair in forward_pairs.find_all(engine, source=source) if pair.paused_ns is None]
    if not known:
        return []
    with store_errors(), reading(engine).connect() as connection:
        waiting = set(connection.scalars(_waiting(connection, [pair.id for pair in known], clock.now_ns())))
    found = [pair for pair in known if pair.id in waiting]
    for_siem = bool(found) and forward_pairs.source_metadata(engine, found[0].source_id).for_siem
    return [pair for pair in found if for_siem or pair.kind == ARCHIVE]


def _waiting(connection: Connection, known: list[str], now_ns: int) -> Any:
    acknowledged_id = func.coalesce(_positions.c.acknowledged_id, 0)
    of_pair = (_positions.c.pair_id == _pairs.c.id) & (_positions.c.stream_id == _streams.c.id)
    # A position that is not made yet has no holder either.
    free = claims.is_free(connection, _positions, now_ns, _positions.c.pair_id.in_(known))
    return (
        select(_pairs.c.id)
        .distinct()
        .join(_streams, _streams.c.source_id == _pairs.c.source_id)
        .outerjoin(_positions, of_pair)
        .where(_pairs.c.id.in_(known), _positions.c.stopped_fingerprint.is_(None), free)
        .where(_has_events(acknowledged_id, now_ns) | _has_rejected())
    )


def _has_events(acknowledged_id: Any, now_ns: int) -> Any:
    # By the key: with an index on stream_id either database would go through the whole stream.
    behind = (_events.c.stream_id + 0 == _streams.c.id) & (_events.c.id > acknowledged_id)
    there = exists().where(behind).correlate(_streams, _positions)
    first = select(_events.c.received_ns).where(behind).order_by(_events.c.id).limit(1)
    begun_ns = (now_ns - GRACE_NS) // HOUR_NS * HOUR_NS
    is_over = first.correlate(_streams, _positions).scalar_subquery() < begun_ns
    # A stream's newest link ends with its newest event; one of an older store may have no links.
    linked = (_streams.c.link_id > acknowledged_id) | (_streams.c.link_id.is_(None) & there)
    return linked & ((_pairs.c.kind != ARCHIVE) | is_over)


def _has_rejected() -> Any:
    of_position = (_rejected.c.pair_id == _positions.c.pair_id) & (_rejected.c.stream_id == _positions.c.stream_id)
    marked = _rejected.c.replay_ns.is_not(None) & exists().where(_events.c.id == _rejected.c.event_id)
    return exists().where(of_position, marked).correlate(_positions)
