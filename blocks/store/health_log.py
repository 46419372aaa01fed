"""Health events for those who only read, in plain SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.errors import ThirdPartyConfigError
from blocks.health import HealthEvent
from blocks.store.engine import reading, store_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Row


@dataclass(frozen=True, slots=True)
class LoggedHealthEvent:
    """A health event as it is kept: its number in the store, and whether what it tells is still so."""

    id: int
    event: HealthEvent
    open: bool


@dataclass(frozen=True, slots=True)
class OlderEvents:
    """How many health events there are before a time, and when the first was (ns since 1970)."""

    number: int
    first_ns: int | None


def source_ids(engine: Engine, name: str | None) -> list[str] | None:
    """The ids of a source of that name, also of one that is gone but for its health events; None for all sources.

    Raises ThirdPartyConfigError where there was never one such.
    """
    if name is None:
        return None
    with store_errors(), reading(engine).connect() as connection:
        found = _ids(connection, "SELECT id FROM sources WHERE name = :name", name)
        found = found or _ids(
            connection, "SELECT DISTINCT source_id FROM health_events WHERE source_name = :name", name
        )
        known = connection.scalars(text("SELECT name FROM sources WHERE deleted_ns IS NULL ORDER BY name")).all()
    if not found:
        raise ThirdPartyConfigError(
            f"There is no source named {name!r} in the store; there are: {', '.join(known) or 'none'}.",
            hint="`onepassword-source status` lists them.",
            code="unknown-source",
        )
    return found


def events_since(
    engine: Engine, ids: Sequence[str] | None, *, since_ns: int, after_id: int = 0
) -> list[LoggedHealthEvent]:
    """The health events of some sources from a time on, and past a number, oldest first."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_TOLD, {"since": since_ns, "after": after_id}).all()
        opened = set(connection.scalars(_STILL_OPEN))
    found = [
        LoggedHealthEvent(row.id, _event(row), row.id in opened) for row in rows if ids is None or row.source_id in ids
    ]
    return sorted(found, key=lambda one: (one.event.time_ns, one.id))


def events_before(engine: Engine, ids: Sequence[str] | None, before_ns: int) -> OlderEvents:
    """What `told` leaves out for its age."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_OLDER, {"before": before_ns}).all()
    found = [row for row in rows if ids is None or row.source_id in ids]
    return OlderEvents(sum(row.number for row in found), min((row.first_ns for row in found), default=None))


_TOLD = text("SELECT * FROM health_events WHERE id > :after AND time_ns >= :since")
_OLDER = text(
    "SELECT source_id, count(*) AS number, min(time_ns) AS first_ns FROM health_events "
    "WHERE time_ns < :before GROUP BY source_id"
)
_STILL_OPEN = text(
    "SELECT max(e.id) FROM health_events e JOIN conditions c ON c.source_id = e.source_id AND c.tracker = e.tracker "
    "WHERE e.status = 'UnHealthy' GROUP BY e.source_id, e.tracker"
)


def _ids(connection: Connection, question: str, name: str) -> list[str]:
    return list(connection.scalars(text(question), {"name": name}))


def _event(row: Row[Any]) -> HealthEvent:
    return HealthEvent(**{name: getattr(row, name) for name in HealthEvent.__dataclass_fields__})
