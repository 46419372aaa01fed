"""The state of each pair, read with plain SQL: commands that only read start without SQLModel or Prefect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, text

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.store import claims
from blocks.store.engine import reading, store_errors
from blocks.store.forwarding.records import is_forwarding_enabled
from blocks.store.forwarding.unsent_events import GRACE_NS, HOUR_NS, unlinked_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine, Row, TextClause

VALUES_MAX = 1000  # values in one statement


@dataclass(frozen=True, slots=True)
class PositionStatus:
    """How far a pair has forwarded one API. Times are nanoseconds since 1970.

    `oldest_ns` is when the first waiting event was received; None if no event waits.
    """

    api: str
    sent: int
    filtered: int
    rejected: int
    waiting: int
    oldest_ns: int | None
    progress_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_message: str | None
    stopped: bool
    error_ns: int | None = None
    """When the last error happened."""
    failed_attempts: int = 0
    """How many attempts in a row have failed."""
    retries_ns: int | None = None
    """When the waiting run retries at the latest; None if the pair does not fail, or no run waits."""

    @property
    def is_retried(self) -> bool:
        """Whether it fails and will be retried."""
        return self.failing_since_ns is not None and not self.in_error

    @property
    def in_error(self) -> bool:
        """Whether a person must act: the stream has stopped, or its configuration is invalid."""
        is_invalid = self.failing_since_ns is not None and self.error_type == ThirdPartyConfigError.name
        return self.stopped or is_invalid


@dataclass(frozen=True, slots=True)
class PairStatus:
    """A source and a SIEM, and how far each API has been forwarded."""

    id: str
    source: str
    source_id: str
    siem: str
    kind: str
    config: dict[str, Any]
    created_ns: int
    paused_ns: int | None
    for_siem: bool
    """Whether forwarding to SIEMs is enabled for the source."""
    deleted: bool
    """Whether the source was deleted."""
    positions: tuple[PositionStatus, ...]

    @property
    def state(self) -> str:
        """`source deleted`, `paused`, `withheld`, the type of its error, `retrying`, `waiting` or `ok`."""
        if self.deleted:
            return "source deleted"
        if self.paused_ns is not None:
            return "paused"
        return "withheld" if self.withheld else self._sending

    @property
    def next_file_ns(self) -> int | None:
        """When an archive can write the hour of its first waiting event; None if no event waits for that.

        A file holds a whole hour, so an archive writes an hour only after it has ended.
        """
        oldest = [one.oldest_ns for one in self.positions if one.oldest_ns is not None and one.failing_since_ns is None]
        if self.kind != "archive" or self.state != "waiting" or not oldest:
            return None
        return (min(oldest) // HOUR_NS + 1) * HOUR_NS + GRACE_NS

    @property
    def withheld(self) -> bool:
        """Whether no event is sent because forwarding is not enabled for the source. Archives always receive them."""
        return self.kind != "archive" and not self.for_siem

    @property
    def _sending(self) -> str:
        if errors := [one for one in self.positions if one.in_error]:
            return errors[0].error_type or "stopped"
        if any(one.failing_since_ns is not None for one in self.positions):
            return "retrying"
        return "waiting" if any(one.waiting for one in self.positions) else "ok"

    @property
    def in_error(self) -> bool:
        return not self.deleted and any(one.in_error for one in self.positions)


def pairs(engine: Engine, siem: str | None = None, source: str | None = None) -> list[PairStatus]:
    """Return the status of all pairs, or those of the named SIEM or source; pairs of deleted sources too.

    Raises ThirdPartyConfigError if there is no such SIEM.
    """
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_PAIRS).all()
        matches = [row for row in rows if siem in {None, row.siem} and source in {None, row.source}]
        positions = _positions(connection, {row.id: row.fingerprint for row in matches})
        statuses = [_to_status(row, positions[row.id]) for row in matches]
    if siem is not None and not statuses:
        names = ", ".join(dict.fromkeys(row.siem for row in rows)) or "none"
        raise ThirdPartyConfigError(
            f"There is no SIEM named {siem!r} in the store; there are: {names}.",
            hint="Add one with `onepassword-source siem add`.",
            code="unknown-siem",
        )
    return statuses


def rejected_events(engine: Engine, siem: str, source: str | None = None) -> list[dict[str, Any]]:
    """Return the events that a SIEM rejected, oldest first: source, source_id, api, uuid, code, answer, rejected_ns."""
    by_id = {pair.id: pair for pair in pairs(engine, siem, source)}
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_REJECTED).all()
    return [
        {
            "source": by_id[row.pair_id].source,
            "source_id": by_id[row.pair_id].source_id,
            "api": row.api,
            "uuid": row.uuid,
            "code": row.code,
            "answer": row.answer,
            "rejected_ns": row.rejected_ns,
        }
        for row in rows
        if row.pair_id in by_id
    ]


def _to_status(row: Row[Any], positions: Sequence[PositionStatus]) -> PairStatus:
    return PairStatus(
        id=row.id,
        source=row.source,
        source_id=row.source_id,
        siem=row.siem,
        kind=row.kind,
        config=json.loads(row.config),
        created_ns=row.created_ns,
        paused_ns=row.paused_ns,
        deleted=row.deleted_ns is not None,
        for_siem=is_forwarding_enabled(json.loads(row.fields)),
        positions=tuple(positions),
    )


def _positions(connection: Connection, fingerprints: Mapping[str, str]) -> dict[str, list[PositionStatus]]:
    """Return the positions of pairs (id: fingerprint), in as many statements for hundreds of pairs as for one."""
    result: dict[str, list[PositionStatus]] = {pair_id: [] for pair_id in fingerprints}
    waiting = _all_waiting(connection, list(fingerprints))
    for start in range(0, len(result), VALUES_MAX):
        values = {"pairs": list(fingerprints)[start : start + VALUES_MAX]}
        for row in connection.execute(_POSITIONS, values):
            behind = waiting.get((row.pair_id, row.stream_id), (0, None))
            result[row.pair_id].append(_to_position(row, behind, fingerprints[row.pair_id]))
    return result


def _to_position(row: Row[Any], behind: tuple[int, int | None], fingerprint: str) -> PositionStatus:
    waiting, oldest_ns = behind
    return PositionStatus(
        api=row.api,
        sent=row.sent or 0,
        filtered=row.filtered or 0,
        rejected=row.rejected or 0,
        waiting=waiting,
        oldest_ns=oldest_ns,
        progress_ns=row.progress_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_message=row.error_message,
        stopped=row.stopped_fingerprint is not None and row.stopped_fingerprint == fingerprint,
        error_ns=row.error_ns,
        failed_attempts=row.failed_attempts or 0,
        retries_ns=_next_attempt_ns(row),
    )


def _next_attempt_ns(row: Row[Any]) -> int | None:
    if row.failing_since_ns is None or claims.is_dead(row.holder_process, row.claim_renewed_ns):
        return None
    return claims.next_attempt_ns(row.claim_expires_ns, clock.now_ns())


def _all_waiting(connection: Connection, pair_ids: Sequence[str]) -> dict[tuple[str, int], tuple[int, int | None]]:
    """Return (how many events wait, when the first was received) by pair and stream, where any wait."""
    rows = [
        row
        for start in range(0, len(pair_ids), VALUES_MAX)
        for row in connection.execute(_BEHIND, {"pairs": pair_ids[start : start + VALUES_MAX]})
    ]
    unlinked = {(row.pair_id, row.stream_id): _count_unlinked(connection, row) for row in rows}
    # Mostly, the waiting events begin at a link. Its first event is then known, so one statement reads all of these.
    firsts = [row.first_id for row in rows if row.first_id and not unlinked[row.pair_id, row.stream_id]]
    received = _received_ns(connection, firsts)
    result: dict[tuple[str, int], tuple[int, int | None]] = {}
    for row in rows:
        before = unlinked[row.pair_id, row.stream_id]
        if waiting := before + int(row.linked or 0):
            oldest_ns = None if before else received.get(row.first_id)
            result[row.pair_id, row.stream_id] = waiting, oldest_ns or _oldest_ns(connection, row, before)
    return result


def _count_unlinked(connection: Connection, row: Row[Any]) -> int:
    """Count the waiting events outside of whole links: of a partly sent link, and from before the chain began."""
    before_chain: list[tuple[int, int]] = []
    if row.first_link is None or row.first_link - 1 > row.acknowledged_id:
        before_chain = unlinked_ranges(connection, row.stream_id, row.acknowledged_id, row.first_link)
    end = max([row.partial or 0, *(end for _, end in before_chain)])
    if end <= row.acknowledged_id:
        return 0
    behind = {"stream": row.stream_id, "sent": row.acknowledged_id, "end": end}
    return int(connection.scalar(_by_key(connection, _COUNT), behind) or 0)


def _received_ns(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    result: dict[int, int] = {}
    for start in range(0, len(ids), VALUES_MAX):
        rows = connection.execute(_RECEIVED, {"ids": ids[start : start + VALUES_MAX]})
        result |= {row[0]: row[1] for row in rows}
    return result


def _oldest_ns(connection: Connection, row: Row[Any], before: int) -> int | None:
    start = row.acknowledged_id if before or row.first_id is None else row.first_id - 1
    oldest_ns: int | None = connection.scalar(_by_key(connection, _OLDEST), {"stream": row.stream_id, "start": start})
    return oldest_ns


def _by_key(connection: Connection, query: str) -> TextClause:
    # Otherwise SQLite scans the whole stream with the index on stream_id.
    return text(query.format(hint="NOT INDEXED" if connection.dialect.name == "sqlite" else ""))


_PAIRS = text(
    "SELECT f.*, s.name AS source, s.fields, s.deleted_ns FROM pairs f "
    "JOIN sources s ON s.id = f.source_id ORDER BY f.siem, s.name"
)
_POSITIONS = text(
    "SELECT f.id AS pair_id, s.id AS stream_id, s.api, p.sent, p.filtered, p.rejected, p.progress_ns, "
    "p.failing_since_ns, p.error_type, p.error_message, p.stopped_fingerprint, p.error_ns, p.failed_attempts, "
    "p.holder_process, p.claim_renewed_ns, p.claim_expires_ns "
    "FROM pairs f JOIN streams s ON s.source_id = f.source_id "
    "LEFT JOIN positions p ON p.stream_id = s.id AND p.pair_id = f.id "
    "WHERE f.id IN :pairs ORDER BY s.id"
).bindparams(bindparam("pairs", expanding=True))
_WHOLE = "c.last_id > b.acknowledged_id AND c.first_id > b.acknowledged_id"
_PARTIAL = "c.last_id > b.acknowledged_id AND c.first_id <= b.acknowledged_id"
_CHAIN = "(SELECT {} FROM chain c WHERE c.stream_id = b.stream_id AND {})"
_BEHIND = text(
    "SELECT b.pair_id, b.stream_id, b.acknowledged_id, "  # noqa: S608 - no input from outside
    f"{_CHAIN.format('min(c.first_id)', _WHOLE)} AS first_id, "
    f"{_CHAIN.format('sum(c.events)', _WHOLE)} AS linked, "
    f"{_CHAIN.format('max(c.last_id)', _PARTIAL)} AS partial, "
    f"{_CHAIN.format('c.first_id', 'c.number = 1')} AS first_link "
    # Leaves out streams whose last event was sent, which are most of them.
    "FROM (SELECT f.id AS pair_id, s.id AS stream_id, coalesce(p.acknowledged_id, 0) AS acknowledged_id "
    "FROM pairs f JOIN streams s ON s.source_id = f.source_id "
    "LEFT JOIN positions p ON p.stream_id = s.id AND p.pair_id = f.id "
    "WHERE f.id IN :pairs AND s.events > 0 "
    "AND (s.link_id IS NULL OR coalesce(p.acknowledged_id, 0) < s.link_id)) b"
).bindparams(bindparam("pairs", expanding=True))
_RECEIVED = text("SELECT id, received_ns FROM events WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_REJECTED = text(
    "SELECT r.pair_id, s.api, r.uuid, r.code, r.answer, r.rejected_ns FROM rejected_events r "
    "JOIN streams s ON s.id = r.stream_id ORDER BY r.rejected_ns, r.event_id"
)
_COUNT = "SELECT count(*) FROM events {hint} WHERE stream_id = :stream AND id > :sent AND id <= :end"
_OLDEST = "SELECT received_ns FROM events {hint} WHERE stream_id = :stream AND id > :start ORDER BY id LIMIT 1"
