"""What the store knows of forwards, in plain SQL: commands that only read start without SQLModel or Prefect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.errors import ThirdPartyConfigError
from blocks.store import meant
from blocks.store.engine import reading, store_errors
from blocks.store.outgoing import unlinked

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row, TextClause


@dataclass(frozen=True, slots=True)
class PositionStatus:
    """How far a forward is in one API. Times are nanoseconds since 1970.

    `oldest_ns` is when the first event that waits was received, None where none waits.
    """

    api: str
    sent: int
    dropped: int
    refused: int
    waiting: int
    oldest_ns: int | None
    progress_ns: int | None
    failing_since_ns: int | None
    error_type: str | None
    error_message: str | None
    stopped: bool

    @property
    def in_error(self) -> bool:
        """Whether a person must do something: it was stopped, or its configuration is refused before it begins."""
        is_refused = self.failing_since_ns is not None and self.error_type == ThirdPartyConfigError.name
        return self.stopped or is_refused


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """A source and a SIEM, and how far each API is."""

    id: str
    source: str
    siem: str
    kind: str
    config: dict[str, Any]
    created_ns: int
    paused_ns: int | None
    for_siem: bool
    """Whether the source's events are meant for a SIEM."""
    deleted: bool
    """Whether the source was deleted."""
    positions: tuple[PositionStatus, ...]

    @property
    def state(self) -> str:
        """`source deleted`, `paused`, `withheld`, the type of the error it is in, `retrying`, `waiting` or `ok`."""
        if self.deleted:
            return "source deleted"
        if self.paused_ns is not None:
            return "paused"
        return "withheld" if self.withheld else self._sending

    @property
    def withheld(self) -> bool:
        """Whether nothing is sent since the source's events are not meant for a SIEM. Archives get them."""
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


def forwards(engine: Engine, siem: str | None = None, source: str | None = None) -> list[ForwardStatus]:
    """All forwards, or those of a SIEM or of a source of that name; those of deleted sources too.

    Raises ThirdPartyConfigError where there is no such SIEM.
    """
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_FORWARDS).all()
        chosen = [row for row in rows if siem in {None, row.siem} and source in {None, row.source}]
        found = [_forward(connection, row) for row in chosen]
    if siem is not None and not found:
        names = ", ".join(dict.fromkeys(row.siem for row in rows)) or "none"
        raise ThirdPartyConfigError(
            f"There is no SIEM named {siem!r} in the store; there are: {names}.",
            hint="Make one with `onepassword-source siem add`.",
            code="unknown-siem",
        )
    return found


def refused(engine: Engine, siem: str, source: str | None = None) -> list[dict[str, Any]]:
    """What a SIEM has refused for good, oldest first: source, api, uuid, code, answer, refused_ns."""
    found = {one.id: one for one in forwards(engine, siem, source)}
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_REFUSED).all()
    return [
        {
            "source": found[row.forward].source,
            "api": row.api,
            "uuid": row.uuid,
            "code": row.code,
            "answer": row.answer,
            "refused_ns": row.refused_ns,
        }
        for row in rows
        if row.forward in found
    ]


def _forward(connection: Connection, row: Row[Any]) -> ForwardStatus:
    positions = connection.execute(_POSITIONS, {"forward": row.id, "source": row.source_id}).all()
    return ForwardStatus(
        id=row.id,
        source=row.source,
        siem=row.siem,
        kind=row.kind,
        config=json.loads(row.config),
        created_ns=row.created_ns,
        paused_ns=row.paused_ns,
        deleted=row.deleted_ns is not None,
        for_siem=meant.for_siem(json.loads(row.fields)),
        positions=tuple(_position(connection, one, row.fingerprint) for one in positions),
    )


def _position(connection: Connection, row: Row[Any], fingerprint: str) -> PositionStatus:
    waiting, oldest_ns = _waiting(connection, row)
    return PositionStatus(
        api=row.api,
        sent=row.sent or 0,
        dropped=row.dropped or 0,
        refused=row.refused or 0,
        waiting=waiting,
        oldest_ns=oldest_ns,
        progress_ns=row.progress_ns,
        failing_since_ns=row.failing_since_ns,
        error_type=row.error_type,
        error_message=row.error_message,
        stopped=row.stopped_fingerprint is not None and row.stopped_fingerprint == fingerprint,
    )


def _waiting(connection: Connection, row: Row[Any]) -> tuple[int, int | None]:
    """How many events wait, and since when the first does: by the links of the chain, which count them.

    Counted one by one are those of a link that is sent in part, and those stored before there was a chain.
    """
    behind = {"stream": row.stream_id, "sent": row.sent_id or 0}
    links = connection.execute(_LINKS, behind).one()
    before_chain = unlinked(connection, row.stream_id, behind["sent"], connection.scalar(_FIRST, behind))
    end = max([connection.scalar(_PARTIAL, behind) or 0, *(end for _, end in before_chain)])
    counted = _count(connection, behind, end) if end > behind["sent"] else 0
    waiting = counted + int(links.events or 0)
    start = behind["sent"] if counted or links.first_id is None else links.first_id - 1
    oldest = connection.scalar(_by_key(connection, _OLDEST), {**behind, "start": start}) if waiting else None
    return waiting, oldest


def _count(connection: Connection, behind: dict[str, int], end: int) -> int:
    return int(connection.scalar(_by_key(connection, _COUNT), {**behind, "end": end}) or 0)


def _by_key(connection: Connection, asked: str) -> TextClause:
    # SQLite would else go through the whole stream by an index.
    return text(asked.format(hint="NOT INDEXED" if connection.dialect.name == "sqlite" else ""))


_FORWARDS = text(
    "SELECT f.*, s.name AS source, s.fields, s.deleted_ns FROM forwards f "
    "JOIN sources s ON s.id = f.source_id ORDER BY f.siem, s.name"
)
_POSITIONS = text(
    "SELECT s.id AS stream_id, s.api, p.sent_id, p.sent, p.dropped, p.refused, p.progress_ns, "
    "p.failing_since_ns, p.error_type, p.error_message, p.stopped_fingerprint FROM streams s "
    "LEFT JOIN forward_positions p ON p.stream_id = s.id AND p.forward = :forward "
    "WHERE s.source_id = :source ORDER BY s.id"
)
_REFUSED = text(
    "SELECT r.forward, s.api, r.uuid, r.code, r.answer, r.refused_ns FROM refused_events r "
    "JOIN streams s ON s.id = r.stream_id ORDER BY r.refused_ns, r.event_id"
)
_LINKS = text(
    "SELECT min(first_id) AS first_id, sum(events) AS events FROM chain "
    "WHERE stream_id = :stream AND last_id > :sent AND first_id > :sent"
)
_PARTIAL = text("SELECT last_id FROM chain WHERE stream_id = :stream AND last_id > :sent AND first_id <= :sent")
_FIRST = text("SELECT first_id FROM chain WHERE stream_id = :stream AND number = 1")
_COUNT = "SELECT count(*) FROM events {hint} WHERE stream_id = :stream AND id > :sent AND id <= :end"
_OLDEST = "SELECT received_ns FROM events {hint} WHERE stream_id = :stream AND id > :start ORDER BY id LIMIT 1"
