"""Conditions and health events. A change is written in the transaction of its cause, and published afterwards.

A health event stays unpublished in the store until it is marked as published, so a kill in between loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update

from blocks import clock
from blocks.health import ERROR, HEALTHY, UNHEALTHY, WARNING, Condition, HealthEvent
from blocks.store.engine import advisory_lock, reading, store_errors, writing
from blocks.store.on_conflict import insert_new
from blocks.store.tables import ConditionRow, HealthEventRow, SourceRow, UndocumentedValueRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row

UndocumentedValue = tuple[str, str, str]
"""Its kind (member, value, quarantine), its path in the event, and the value."""

_conditions = table_of(ConditionRow)
_events = table_of(HealthEventRow)
_sources = table_of(SourceRow)
_vocabulary = table_of(UndocumentedValueRow)


def begin(connection: Connection, source_id: str, condition: Condition, *, since_ns: int | None = None) -> bool:
    """Open a condition. Writes an event, and returns True, if it was not open before or had another value."""
    if not _open(connection, source_id, condition, since_ns or clock.now_ns()):
        return False
    report(connection, source_id, condition)
    return True


def lock(connection: Connection, source_id: str, tracker: str) -> None:
    """Take the lock of a condition until the transaction ends: other transactions that open or lock it wait.

    Take it before you read rows that other transactions write, if the condition depends on them.
    """
    advisory_lock(connection, f"{source_id}/{tracker}")


def is_open(connection: Connection, source_id: str, tracker: str) -> bool:
    return connection.execute(_OPEN, {"of_source": source_id, "of_tracker": tracker}).first() is not None


def end(connection: Connection, source_id: str, tracker: str, description: str, api: str | None = None) -> bool:
    """Close a condition. Writes an event (Recovered), and returns True, if it was open."""
    ended = delete(_conditions).where(_conditions.c.source_id == source_id, _conditions.c.tracker == tracker)
    severity = connection.execute(ended.returning(_conditions.c.severity)).scalar()
    if severity is None:
        return False
    recovered = Condition(tracker, "Recovered", severity, description, api)
    report(connection, source_id, recovered, status=HEALTHY)
    return True


def report(connection: Connection, source_id: str, condition: Condition, *, status: str = UNHEALTHY) -> None:
    """Write an event without opening a condition: for what happens once and does not last."""
    name = connection.execute(select(_sources.c.name).where(_sources.c.id == source_id)).scalar()
    event = HealthEvent.from_condition(condition, source_id, name or "", status=status)
    connection.execute(insert(_events).values(_members(event)))


def close_all(connection: Connection, source_id: str) -> None:
    """Close all conditions of a deleted source, without events."""
    connection.execute(delete(_conditions).where(_conditions.c.source_id == source_id))


def open_conditions(engine: Engine, source_id: str) -> dict[str, int]:
    """The trackers of the open conditions, and since when each is open (ns since 1970)."""
    query = select(_conditions.c.tracker, _conditions.c.since_ns).where(_conditions.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        return {row.tracker: row.since_ns for row in connection.execute(query)}


def update_conditions(engine: Engine, source_id: str, current: Iterable[Condition], over: Iterable[Condition]) -> None:
    """Open the conditions `current` and close those in `over`, whose descriptions say that they ended.

    Usually nothing changes; then nothing is written.
    """
    query = select(_conditions.c.tracker, _conditions.c.value).where(_conditions.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        values: dict[str, str] = {row.tracker: row.value for row in connection.execute(query)}
    begun = [condition for condition in current if values.get(condition.tracker) != condition.value]
    ended = [condition for condition in over if condition.tracker in values]
    if not begun and not ended:
        return
    with writing(engine) as connection:
        for condition in begun:
            begin(connection, source_id, condition)
        for condition in ended:
            end(connection, source_id, condition.tracker, condition.description, condition.api)


def record_undocumented(
    connection: Connection, stream_id: int, values: Iterable[UndocumentedValue]
) -> list[UndocumentedValue]:
    """Store the undocumented values of a stream, each once. Returns the new ones."""
    return [value for value in values if _insert_undocumented(connection, stream_id, value)]


def unpublished(engine: Engine, source_id: str) -> list[HealthEvent]:
    """The events of a source that are not published yet, oldest first."""
    query = (
        select(_events).where(_events.c.source_id == source_id, _events.c.published_ns.is_(None)).order_by(_events.c.id)
    )
    with store_errors(), reading(engine).connect() as connection:
        return [_event(row) for row in connection.execute(query)]


def mark_published(engine: Engine, events: Sequence[HealthEvent]) -> None:
    with writing(engine) as connection:
        connection.execute(
            update(_events)
            .where(_events.c.event_id.in_([event.event_id for event in events]))
            .values(published_ns=clock.now_ns())
        )


def save_published(engine: Engine, events: Sequence[tuple[HealthEvent, str]]) -> None:
    """Write events, with the values of their conditions, that were published while the store could not be reached.

    They are marked as published. An event that is stored already is skipped.
    """
    with writing(engine) as connection:
        for event, value in events:
            stored_id = connection.execute(select(_events.c.id).where(_events.c.event_id == event.event_id)).scalar()
            if stored_id is None:
                connection.execute(insert(_events).values(published_ns=clock.now_ns(), **_members(event)))
                _open(connection, event.source_id, _condition(event, value), event.time_ns)


def _open(connection: Connection, source_id: str, condition: Condition, since_ns: int) -> bool:
    values = {
        "value": condition.value,
        "name": condition.name,
        "severity": condition.severity,
        "description": condition.description,
    }
    key = (_conditions.c.source_id == source_id) & (_conditions.c.tracker == condition.tracker)
    lock(connection, source_id, condition.tracker)
    changed = connection.execute(update(_conditions).where(key, _conditions.c.value != condition.value).values(values))
    if changed.rowcount:
        return True
    row = {"source_id": source_id, "tracker": condition.tracker, "since_ns": since_ns, **values}
    return insert_new(connection, _conditions, row)


def _insert_undocumented(connection: Connection, stream_id: int, undocumented: UndocumentedValue) -> bool:
    kind, path, value = undocumented
    row = {"stream_id": stream_id, "kind": kind, "path": path, "value": value, "seen_ns": clock.now_ns()}
    return insert_new(connection, _vocabulary, row)


def _event(row: Row[Any]) -> HealthEvent:
    return HealthEvent(**{name: getattr(row, name) for name in HealthEvent.__dataclass_fields__})


def _condition(event: HealthEvent, value: str) -> Condition:
    severity = ERROR if event.severity == ERROR else WARNING
    return Condition(event.tracker, event.name, severity, event.description, event.api, value)


def _members(event: HealthEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in HealthEvent.__dataclass_fields__}


_OPEN = select(_conditions.c.tracker).where(
    _conditions.c.source_id == bindparam("of_source"), _conditions.c.tracker == bindparam("of_tracker")
)
