"""The SIEMs that a source's events are forwarded to: which there are, and what a person does with one."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, health
from blocks.store.engine import reading, store_errors, writing
from blocks.store.forwarding import positions, rejected_events, siem_forward_field, unsent_events
from blocks.store.forwarding.records import ForwardPair
from blocks.store.tables import EventRow, PairRow, PositionRow, RejectedEventRow, SourceRow, StreamRow, table_of
from blocks.store.upsert import insert_new

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row

_events = table_of(EventRow)
_pairs = table_of(PairRow)
_positions = table_of(PositionRow)
_rejected = table_of(RejectedEventRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class SourceMetadata:
    """What goes with the events of a source: all that the store knows of it. `fields` are as they were configured.

    `processing_rules` holds `filters` and `hashAlgorithm`, or nothing: see `blocks.siem.privacy.processing`.
    """

    name: str
    category: str | None
    fields: dict[str, Any]
    account: str | None
    processing_rules: dict[str, Any] = field(default_factory=dict)

    @property
    def for_siem(self) -> bool:
        """Whether its events are meant for a SIEM."""
        return siem_forward_field.is_forwarding_enabled(self.fields)


def source_metadata(engine: Engine, source_id: str) -> SourceMetadata:
    """What the store knows of a source that is there."""
    asked = select(_sources).where(_sources.c.id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(asked).one()
    rules = json.loads(row.processing_rules)
    return SourceMetadata(row.name, row.category or None, json.loads(row.fields), row.account_uuid, rules)


def save(  # noqa: PLR0917 - what a pair is made of
    engine: Engine,
    source_id: str,
    siem: str,
    kind: str,
    config: dict[str, Any],
    fingerprint: str,
    *,
    since_ns: int | None = None,
    only_known: bool = False,
) -> tuple[ForwardPair, bool]:
    """Write a pair. Returns it, and whether it is new or has changed: then its errors are forgotten.

    A new one leaves out what was received before `since_ns` (ns since 1970). One of another kind than before sends all
    that there is: its target has nothing yet. `only_known`: raises ThirdPartyConfigError where there is none of the
    kind, so that a run that is late does not bring back what was removed.
    """
    values = {"kind": kind, "config": json.dumps(config, sort_keys=True), "fingerprint": fingerprint}
    with writing(engine) as connection:
        is_new = not only_known and _insert(connection, source_id, siem, values)
        before = _there(connection, source_id, siem)
        if before is None or (only_known and before.kind != kind):
            raise _not_forwarded(connection, source_id, siem)
        changed = is_new or (before.kind, before.fingerprint) != (kind, fingerprint)
        if changed:
            _change(connection, before, values)
        pair = _one(connection, _pairs.c.id == before.id)
        if is_new:
            audit_log.record(connection, "siem add", source_id, pair.source, siem=siem, kind=kind)
        if is_new and since_ns is not None:
            _leave_out(connection, pair, since_ns)
        return pair, changed


def find_all(
    engine: Engine, siem: str | None = None, source: str | None = None, *, with_deleted: bool = False
) -> list[ForwardPair]:
    """The pairs there are, or those of a SIEM or of a source of that name; of deleted sources where asked for."""
    asked = _asked() if with_deleted else _asked().where(_sources.c.deleted_ns.is_(None))
    if siem is not None:
        asked = asked.where(_pairs.c.siem == siem)
    if source is not None:
        asked = asked.where(_sources.c.name == source)
    with store_errors(), reading(engine).connect() as connection:
        return [_known(row) for row in connection.execute(asked)]


def find(engine: Engine, source_id: str, siem: str) -> ForwardPair | None:
    """The pair of that source and SIEM, or None."""
    asked = _asked().where(_pairs.c.source_id == source_id, _pairs.c.siem == siem)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(asked).one_or_none()
    return None if row is None else _known(row)


def require(engine: Engine, siem: str, source: str | None = None, *, with_deleted: bool = False) -> list[ForwardPair]:
    """The pairs of a SIEM, see `known`. Raises ThirdPartyConfigError where there is none."""
    if found := find_all(engine, siem, source, with_deleted=with_deleted):
        return found
    of = f" for source {source!r}" if source else ""
    raise ThirdPartyConfigError(
        f"There is no SIEM named {siem!r}{of}.",
        hint="`onepassword-source siem list` shows those there are, `onepassword-source siem add` makes one.",
        code="unknown-siem",
    )


def set_paused(engine: Engine, pair: ForwardPair, *, paused: bool) -> bool:
    """Pause or resume a pair; resumed, its errors are forgotten too. Whether that was a change.

    A run that sends sees it and gives back, so that what is on its way is not sent twice (`is_paused`); one that
    waits for its next attempt loses its claim to whoever comes after a resume.
    """
    with writing(engine) as connection:
        values = {"paused_ns": clock.now_ns() if paused else None}
        wanted = _pairs.c.paused_ns.is_(None) if paused else _pairs.c.paused_ns.is_not(None)
        changed = connection.execute(update(_pairs).where(_pairs.c.id == pair.id, wanted).values(values)).rowcount
        if not paused:
            positions.recover_within(connection, pair.id)
        if changed:
            audit_log.record(connection, _verb(paused), pair.source_id, pair.source, siem=pair.siem)
    return bool(changed)


def is_paused(engine: Engine, pair_id: str) -> bool:
    """Whether a person has paused the pair, as the store has it now; one that was removed is not."""
    asked = select(_pairs.c.paused_ns).where(_pairs.c.id == pair_id)
    with store_errors(), reading(engine).connect() as connection:
        return connection.scalar(asked) is not None


def replay(engine: Engine, pair: ForwardPair, since_ns: int) -> int:
    """Let the pair send again what was received at that time (ns since 1970) or later. Returns how many events.

    What it has not sent yet stays to be sent, however old it is.
    """
    with writing(engine) as connection:
        again = 0
        for stream_id, acknowledged_id, reached in _sent(connection, pair.id):
            behind = _before(connection, stream_id, since_ns)
            if behind is not None and behind < reached:
                of = (_events.c.stream_id == stream_id) & (_events.c.id > behind) & (_events.c.id <= reached)
                again += connection.scalar(select(func.count()).where(of)) or 0
                positions.move_within(connection, pair.id, stream_id, min(behind, acknowledged_id))
        audit_log.record(connection, "siem replay", pair.source_id, pair.source, siem=pair.siem, events=again)
    return again


def count_sent_since(engine: Engine, pair: ForwardPair, since_ns: int) -> int:
    """How many events `replay` would let the pair send again: those received then or later that were acknowledged."""
    asked = select(_positions.c.stream_id, _positions.c.acknowledged_id, _positions.c.in_flight)
    with store_errors(), reading(engine).connect() as connection:
        sent = 0
        for row in connection.execute(asked.where(_positions.c.pair_id == pair.id)).all():
            behind, reached = _before(connection, row.stream_id, since_ns), positions.last_acknowledged(row)
            if behind is not None and behind < reached:
                of = (_events.c.stream_id == row.stream_id) & (_events.c.id > behind) & (_events.c.id <= reached)
                sent += connection.scalar(select(func.count()).where(of)) or 0
        return sent


def remove(engine: Engine, pair: ForwardPair) -> None:
    """Remove a pair: its positions, and what its SIEM refused. The events stay."""
    with writing(engine) as connection:
        # The pair first: who makes positions holds it, and finds then that it is gone.
        connection.execute(delete(_pairs).where(_pairs.c.id == pair.id))
        for table in (_positions, _rejected):
            connection.execute(delete(table).where(table.c.pair_id == pair.id))
        sentence = f"Events are no longer forwarded to {pair.siem}."
        for tracker in (positions.tracker(pair.siem), rejected_events.tracker(pair.siem)):
            health.end(connection, pair.source_id, tracker, sentence)
        audit_log.record(connection, "siem remove", pair.source_id, pair.source, siem=pair.siem)


def _insert(connection: Connection, source_id: str, siem: str, values: dict[str, Any]) -> bool:
    now = {"id": uuid.uuid4().hex, "source_id": source_id, "siem": siem, "created_ns": clock.now_ns(), **values}
    return insert_new(connection, _pairs, now)


def _there(connection: Connection, source_id: str, siem: str) -> Row[Any] | None:
    """The pair, which nobody removes until the transaction is over."""
    key = (_pairs.c.source_id == source_id) & (_pairs.c.siem == siem)
    return connection.execute(select(_pairs).where(key).with_for_update()).one_or_none()


def _change(connection: Connection, before: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(update(_pairs).where(_pairs.c.id == before.id).values(values))
    positions.create_within(connection, before.id)
    if before.kind == values["kind"]:
        positions.restart_within(connection, before.id)
        positions.forget_ahead_within(connection, before.id)  # it may have another target, which has none of that
    else:
        positions.reset_within(connection, before.id)


def _not_forwarded(connection: Connection, source_id: str, siem: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"The events of {_name(connection, source_id)!r} are not forwarded to {siem!r}.",
        hint="`onepassword-source siem add` makes the pair; `onepassword-source siem list` shows those there are.",
        code="unknown-siem",
    )


def _leave_out(connection: Connection, pair: ForwardPair, until_ns: int) -> None:
    for stream_id, acknowledged_id, _ in _sent(connection, pair.id):
        end = _end(connection, stream_id)  # first: a page that is committed between the two reads is not left out
        last = _before(connection, stream_id, until_ns)
        behind = end if last is None else last
        if behind is not None and behind > acknowledged_id:
            positions.move_within(connection, pair.id, stream_id, behind)
    audit_log.record(connection, "siem skip", pair.source_id, pair.source, siem=pair.siem)


def _before(connection: Connection, stream_id: int, time_ns: int) -> int | None:
    """The id before the first event of a stream that was received then or later; None where there is no such event."""
    found = unsent_events.first_since(connection, stream_id, time_ns)
    return None if found is None else found - 1


def _end(connection: Connection, stream_id: int) -> int | None:
    """The id of the last event of a stream, or None."""
    linked: int | None = connection.scalar(select(_streams.c.link_id).where(_streams.c.id == stream_id))
    return unsent_events.last_id(connection, stream_id) if linked is None else linked


def _sent(connection: Connection, pair_id: str) -> list[tuple[int, int, int]]:
    """Of each stream its position, and the last event that the SIEM has said yes to, which may be ahead of it."""
    # A write first: nobody moves a position between the read and what follows from it.
    written = (
        update(_positions).where(_positions.c.pair_id == pair_id).values(acknowledged_id=_positions.c.acknowledged_id)
    )
    rows = connection.execute(
        written.returning(_positions.c.stream_id, _positions.c.acknowledged_id, _positions.c.in_flight)
    )
    return [(row.stream_id, row.acknowledged_id, positions.last_acknowledged(row)) for row in rows]


def _asked() -> Any:
    return (
        select(_pairs, _sources.c.name.label("source"))
        .join(_sources, _sources.c.id == _pairs.c.source_id)
        .order_by(_pairs.c.siem, _sources.c.name)
    )


def _one(connection: Connection, condition: Any) -> ForwardPair:
    return _known(connection.execute(_asked().where(condition)).one())


def _name(connection: Connection, source_id: str) -> str:
    return str(connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id)))


def _verb(paused: bool) -> str:
    return "siem pause" if paused else "siem resume"


def _known(row: Row[Any]) -> ForwardPair:
    return ForwardPair(
        id=row.id,
        source_id=row.source_id,
        source=row.source,
        siem=row.siem,
        kind=row.kind,
        config=json.loads(row.config),
        fingerprint=row.fingerprint,
        created_ns=row.created_ns,
        paused_ns=row.paused_ns,
    )
