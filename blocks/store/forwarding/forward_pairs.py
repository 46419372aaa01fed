"""Pairs of a source and a SIEM: list, save, pause and remove them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log, health
from blocks.store.engine import reading, store_errors, writing
from blocks.store.forwarding import positions, rejected_events, unsent_events
from blocks.store.forwarding.records import ForwardPair, is_forwarding_enabled
from blocks.store.on_conflict import insert_new
from blocks.store.tables import EventRow, PairRow, PositionRow, RejectedEventRow, SourceRow, StreamRow, table_of

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
    """What the store knows of a source, and sends along with its events. `fields` holds the configured values.

    `processing_rules` holds `filters` and `hashAlgorithm`, or is empty: see `blocks.siem.privacy.processing`.
    """

    name: str
    category: str | None
    fields: dict[str, Any]
    account: str | None
    processing_rules: dict[str, Any] = field(default_factory=dict)

    @property
    def for_siem(self) -> bool:
        """Whether forwarding to SIEMs is enabled for the source."""
        return is_forwarding_enabled(self.fields)


def source_metadata(engine: Engine, source_id: str) -> SourceMetadata:
    """Return what the store knows of a source, which must exist."""
    query = select(_sources).where(_sources.c.id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(query).one()
    rules = json.loads(row.processing_rules)
    return SourceMetadata(row.name, row.category or None, json.loads(row.fields), row.account_uuid, rules)


def save(  # noqa: PLR0917 - the columns of a pair
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
    """Create or update a pair. Returns it, and whether it is new or changed; a change clears its errors.

    A new pair skips events received before `since_ns` (ns since 1970). A pair whose kind changes sends all stored
    events: its new target has none of them. `only_known`: update only. Raises ThirdPartyConfigError if there is no
    pair of this kind, so that a late run does not recreate a pair that was removed.
    """
    values = {"kind": kind, "config": json.dumps(config, sort_keys=True), "fingerprint": fingerprint}
    with writing(engine) as connection:
        is_new = not only_known and _insert(connection, source_id, siem, values)
        before = _lock(connection, source_id, siem)
        if before is None or (only_known and before.kind != kind):
            raise _not_forwarded(connection, source_id, siem)
        changed = is_new or (before.kind, before.fingerprint) != (kind, fingerprint)
        if changed:
            _update(connection, before, values)
        pair = _get(connection, _pairs.c.id == before.id)
        if is_new:
            audit_log.record(connection, "siem add", source_id, pair.source, siem=siem, kind=kind)
        if is_new and since_ns is not None:
            _skip(connection, pair, since_ns)
        return pair, changed


def find_all(
    engine: Engine, siem: str | None = None, source: str | None = None, *, with_deleted: bool = False
) -> list[ForwardPair]:
    """Return all pairs, or those of the named SIEM or source. `with_deleted`: include pairs of deleted sources."""
    query = _select_pairs() if with_deleted else _select_pairs().where(_sources.c.deleted_ns.is_(None))
    if siem is not None:
        query = query.where(_pairs.c.siem == siem)
    if source is not None:
        query = query.where(_sources.c.name == source)
    with store_errors(), reading(engine).connect() as connection:
        return [_to_pair(row) for row in connection.execute(query)]


def find(engine: Engine, source_id: str, siem: str) -> ForwardPair | None:
    """Return the pair of this source and SIEM, or None."""
    query = _select_pairs().where(_pairs.c.source_id == source_id, _pairs.c.siem == siem)
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _to_pair(row)


def require(engine: Engine, siem: str, source: str | None = None, *, with_deleted: bool = False) -> list[ForwardPair]:
    """Return the pairs of a SIEM as `find_all` does. Raises ThirdPartyConfigError if there are none."""
    if pairs := find_all(engine, siem, source, with_deleted=with_deleted):
        return pairs
    scope = f" for source {source!r}" if source else ""
    raise ThirdPartyConfigError(
        f"There is no SIEM named {siem!r}{scope}.",
        hint="`onepassword-source siem list` lists the SIEMs; `onepassword-source siem add` adds one.",
        code="unknown-siem",
    )


def set_paused(engine: Engine, pair: ForwardPair, *, paused: bool) -> bool:
    """Pause or resume a pair; a resume also clears its errors. Returns whether this was a change.

    A run that is sending checks `is_paused` and releases its claims itself, after its batches in flight: revoking the
    claims here would make the next run send those batches again. A resume revokes the claims of a run that waits for
    its next attempt, so that the next run can start at once.
    """
    with writing(engine) as connection:
        values = {"paused_ns": clock.now_ns() if paused else None}
        differs = _pairs.c.paused_ns.is_(None) if paused else _pairs.c.paused_ns.is_not(None)
        changed = connection.execute(update(_pairs).where(_pairs.c.id == pair.id, differs).values(values)).rowcount
        if not paused:
            positions.recover_within(connection, pair.id)
        if changed:
            audit_log.record(connection, _action(paused), pair.source_id, pair.source, siem=pair.siem)
    return bool(changed)


def is_paused(engine: Engine, pair_id: str) -> bool:
    """Read from the store whether the pair is paused. A removed pair is not."""
    query = select(_pairs.c.paused_ns).where(_pairs.c.id == pair_id)
    with store_errors(), reading(engine).connect() as connection:
        return connection.scalar(query) is not None


def remove(engine: Engine, pair: ForwardPair) -> None:
    """Remove a pair, its positions, and the list of events that its SIEM rejected. The events stay in the store."""
    with writing(engine) as connection:
        # Delete the pair first: `positions.create_within` locks its row, so no position is created after this delete.
        connection.execute(delete(_pairs).where(_pairs.c.id == pair.id))
        for table in (_positions, _rejected):
            connection.execute(delete(table).where(table.c.pair_id == pair.id))
        sentence = f"Events are no longer forwarded to {pair.siem}."
        for tracker in (positions.tracker(pair.siem), rejected_events.tracker(pair.siem)):
            health.end(connection, pair.source_id, tracker, sentence)
        audit_log.record(connection, "siem remove", pair.source_id, pair.source, siem=pair.siem)


def _insert(connection: Connection, source_id: str, siem: str, values: dict[str, Any]) -> bool:
    row = {"id": uuid.uuid4().hex, "source_id": source_id, "siem": siem, "created_ns": clock.now_ns(), **values}
    return insert_new(connection, _pairs, row)


def _lock(connection: Connection, source_id: str, siem: str) -> Row[Any] | None:
    """Lock and return the pair: it cannot be removed before the transaction ends. None if there is none."""
    key = (_pairs.c.source_id == source_id) & (_pairs.c.siem == siem)
    return connection.execute(select(_pairs).where(key).with_for_update()).one_or_none()


def _update(connection: Connection, before: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(update(_pairs).where(_pairs.c.id == before.id).values(values))
    positions.create_within(connection, before.id)
    if before.kind == values["kind"]:
        positions.restart_within(connection, before.id)
        positions.forget_ahead_within(connection, before.id)  # the target may be new, and have none of those
    else:
        positions.reset_within(connection, before.id)


def _not_forwarded(connection: Connection, source_id: str, siem: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"The events of {_name(connection, source_id)!r} are not forwarded to {siem!r}.",
        hint="`onepassword-source siem add` creates the pair; `onepassword-source siem list` lists the pairs.",
        code="unknown-siem",
    )


def _skip(connection: Connection, pair: ForwardPair, until_ns: int) -> None:
    for stream_id, acknowledged_id, _ in positions.lock_within(connection, pair.id):
        # Read the end first: a page that is committed between the two reads must not be skipped.
        end = _last_id(connection, stream_id)
        before = unsent_events.last_id_before(connection, stream_id, until_ns)
        target = end if before is None else before
        if target is not None and target > acknowledged_id:
            positions.move_within(connection, pair.id, stream_id, target)
    audit_log.record(connection, "siem skip", pair.source_id, pair.source, siem=pair.siem)


def _last_id(connection: Connection, stream_id: int) -> int | None:
    link_id: int | None = connection.scalar(select(_streams.c.link_id).where(_streams.c.id == stream_id))
    return unsent_events.last_id(connection, stream_id) if link_id is None else link_id


def _select_pairs() -> Any:
    return (
        select(_pairs, _sources.c.name.label("source"))
        .join(_sources, _sources.c.id == _pairs.c.source_id)
        .order_by(_pairs.c.siem, _sources.c.name)
    )


def _get(connection: Connection, condition: Any) -> ForwardPair:
    return _to_pair(connection.execute(_select_pairs().where(condition)).one())


def _name(connection: Connection, source_id: str) -> str:
    return str(connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id)))


def _action(paused: bool) -> str:
    return "siem pause" if paused else "siem resume"


def _to_pair(row: Row[Any]) -> ForwardPair:
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
