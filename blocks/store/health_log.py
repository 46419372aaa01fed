"""Health events for commands that only read the store, in plain SQL."""

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
    """A stored health event: its id, and whether its condition is still open."""

    id: int
    event: HealthEvent
    open: bool


@dataclass(frozen=True, slots=True)
class OlderEvents:
    """The number of health events before a time, and the time of the first (ns since 1970)."""

    number: int
    first_ns: int | None


def source_ids(engine: Engine, name: str | None) -> list[str] | None:
    """The ids of the source of that name, or of purged sources of that name that left health events.

    None stands for all sources, as in `name`. Raises ThirdPartyConfigError if there was never a source of that name.
    """
    if name is None:
        return None
    with store_errors(), reading(engine).connect() as connection:
        ids = _ids(connection, "SELECT id FROM sources WHERE name = :name", name)
        ids = ids or _ids(connection, "SELECT DISTINCT source_id FROM health_events WHERE source_name = :name", name)
        names = connection.scalars(text("SELECT name FROM sources WHERE deleted_ns IS NULL ORDER BY name")).all()
    if not ids:
        raise ThirdPartyConfigError(
            f"There is no source named {name!r} in the store; there are: {', '.join(names) or 'none'}.",
            hint="`onepassword-source status` lists them.",
            code="unknown-source",
        )
    return ids


def events_since(
    engine: Engine, ids: Sequence[str] | None, *, since_ns: int, after_id: int = 0
) -> list[LoggedHealthEvent]:
    """The health events of the sources `ids` (None: all) from `since_ns` on, past the id `after_id`, oldest first."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_SINCE, {"since": since_ns, "after": after_id}).all()
        open_ids = set(connection.scalars(_STILL_OPEN))
    logged = [
        LoggedHealthEvent(row.id, _event(row), row.id in open_ids)
        for row in rows
        if ids is None or row.source_id in ids
    ]
    return sorted(logged, key=lambda entry: (entry.event.time_ns, entry.id))


def events_before(engine: Engine, ids: Sequence[str] | None, before_ns: int) -> OlderEvents:
    """The events that `events_since` leaves out because they are older than `before_ns`."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_OLDER, {"before": before_ns}).all()
    selected = [row for row in rows if ids is None or row.source_id in ids]
    return OlderEvents(sum(row.number for row in selected), min((row.first_ns for row in selected), default=None))


_SINCE = text("SELECT * FROM health_events WHERE id > :after AND time_ns >= :since")
_OLDER = text(
    "SELECT source_id, count(*) AS number, min(time_ns) AS first_ns FROM health_events "
    "WHERE time_ns < :before GROUP BY source_id"
)
_STILL_OPEN = text(
    "SELECT max(e.id) FROM health_events e JOIN conditions c ON c.source_id = e.source_id AND c.tracker = e.tracker "
    "WHERE e.status = 'UnHealthy' GROUP BY e.source_id, e.tracker"
)


def _ids(connection: Connection, query: str, name: str) -> list[str]:
    return list(connection.scalars(text(query), {"name": name}))


def _event(row: Row[Any]) -> HealthEvent:
    return HealthEvent(**{name: getattr(row, name) for name in HealthEvent.__dataclass_fields__})
