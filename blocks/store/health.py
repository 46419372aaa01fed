"""Conditions and health events: a change is written in the transaction of what it tells of, and published after it.

What a transaction wrote stays unpublished until someone has passed it on, so a kill in between loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update

from blocks import clock
from blocks.health import ERROR, HEALTHY, UNHEALTHY, WARNING, Condition, HealthEvent
from blocks.store.engine import advisory_lock, reading, store_errors, writing
from blocks.store.tables import ConditionRow, HealthEventRow, SourceRow, UndocumentedValueRow, table_of
from blocks.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row

UndocumentedValue = tuple[str, str, str]
"""Its kind (member, value, quarantine), where it stands, and the value."""

_conditions = table_of(ConditionRow)
_events = table_of(HealthEventRow)
_sources = table_of(SourceRow)
_vocabulary = table_of(UndocumentedValueRow)


def begin(connection: Connection, source_id: str, condition: Condition, *, since_ns: int | None = None) -> bool:
    """Note that a condition is so. It makes an event where it was not so before, or under another value."""
    if not _is_new(connection, source_id, condition, since_ns or clock.now_ns()):
        return False
    report(connection, source_id, condition)
    return True


def lock(connection: Connection, source_id: str, tracker: str) -> None:
    """Have others that begin or hold this condition wait until the transaction is over.

    To be called before what the condition is judged by is asked, where several write that.
    """
    advisory_lock(connection, f"{source_id}/{tracker}")


def is_open(connection: Connection, source_id: str, tracker: str) -> bool:
    return connection.execute(_OPEN, {"of_source": source_id, "of_tracker": tracker}).first() is not None


def end(connection: Connection, source_id: str, tracker: str, description: str, api: str | None = None) -> bool:
    """Note that a condition is no longer so. It makes an event (Recovered) where it was."""
    ended = delete(_conditions).where(_conditions.c.source_id == source_id, _conditions.c.tracker == tracker)
    severity = connection.execute(ended.returning(_conditions.c.severity)).scalar()
    if severity is None:
        return False
    recovered = Condition(tracker, "Recovered", severity, description, api)
    report(connection, source_id, recovered, status=HEALTHY)
    return True


def report(connection: Connection, source_id: str, condition: Condition, *, status: str = UNHEALTHY) -> None:
    """Write an event, whatever is open: for what happens once and is not so from then on."""
    name = connection.execute(select(_sources.c.name).where(_sources.c.id == source_id)).scalar()
    event = HealthEvent.from_condition(condition, source_id, name or "", status=status)
    connection.execute(insert(_events).values(_members(event)))


def close_all(connection: Connection, source_id: str) -> None:
    """Close all conditions of a source without a word: it was deleted."""
    connection.execute(delete(_conditions).where(_conditions.c.source_id == source_id))


def open_conditions(engine: Engine, source_id: str) -> dict[str, int]:
    """The trackers of what is open, and since when (ns since 1970)."""
    asked = select(_conditions.c.tracker, _conditions.c.since_ns).where(_conditions.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        return {row.tracker: row.since_ns for row in connection.execute(asked)}


def update_conditions(engine: Engine, source_id: str, found: Iterable[Condition], over: Iterable[Condition]) -> None:
    """Begin and end several conditions at once. The ended ones bear the sentence that says so.

    Where nothing changes, which is nearly always, nothing is written.
    """
    asked = select(_conditions.c.tracker, _conditions.c.value).where(_conditions.c.source_id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        values: dict[str, str] = {row.tracker: row.value for row in connection.execute(asked)}
    begun = [condition for condition in found if values.get(condition.tracker) != condition.value]
    ended = [condition for condition in over if condition.tracker in values]
    if not begun and not ended:
        return
    with writing(engine) as connection:
        for condition in begun:
            begin(connection, source_id, condition)
        for condition in ended:
            end(connection, source_id, condition.tracker, condition.description, condition.api)


def record_undocumented(
    connection: Connection, stream_id: int, seen: Iterable[UndocumentedValue]
) -> list[UndocumentedValue]:
    """Remember what a stream had not shown before (kind, path, value). Returns what is new."""
    return [one for one in seen if _is_unfamiliar(connection, stream_id, one)]


def unpublished(engine: Engine, source_id: str) -> list[HealthEvent]:
    """The events of a source that were not passed on yet, oldest first."""
    asked = (
        select(_events).where(_events.c.source_id == source_id, _events.c.published_ns.is_(None)).order_by(_events.c.id)
    )
    with store_errors(), reading(engine).connect() as connection:
        return [_event(row) for row in connection.execute(asked)]


def mark_published(engine: Engine, events: Sequence[HealthEvent]) -> None:
    with writing(engine) as connection:
        connection.execute(
            update(_events)
            .where(_events.c.event_id.in_([event.event_id for event in events]))
            .values(published_ns=clock.now_ns())
        )


def save_published(engine: Engine, kept: Sequence[tuple[HealthEvent, str]]) -> None:
    """Write events, with the values of their conditions, that were told while the store could not be reached.

    They count as published. One that is there already stays once.
    """
    with writing(engine) as connection:
        for event, value in kept:
            there = connection.execute(select(_events.c.id).where(_events.c.event_id == event.event_id)).scalar()
            if there is None:
                connection.execute(insert(_events).values(published_ns=clock.now_ns(), **_members(event)))
                _is_new(connection, event.source_id, _condition(event, value), event.time_ns)


def _is_new(connection: Connection, source_id: str, condition: Condition, since_ns: int) -> bool:
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


def _is_unfamiliar(connection: Connection, stream_id: int, one: UndocumentedValue) -> bool:
    kind, path, value = one
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
