"""The audit log: what was done to the store, by whom and when. Its records are never removed."""

from __future__ import annotations

import getpass
import json
import socket
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, column, func, insert, select, table

from blocks import clock
from blocks.store.engine import reading, store_errors, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Row, Select

RECORDS = 100

# Not the table of `tables`: commands that change names start without SQLModel (0.5 s).
_table = table(
    "audit_log",
    *(column(name, BigInteger) for name in ("id", "time_ns")),
    *(column(name, String) for name in ("actor", "action", "source_id", "source_name", "details")),
)
_actor: ContextVar[str | None] = ContextVar("actor", default=None)


def record(connection: Connection, action: str, source_id: str, source_name: str, **details: Any) -> None:
    """Write one record, in the transaction of the action that it describes."""
    connection.execute(
        insert(_table).values(
            time_ns=clock.now_ns(),
            actor=actor(),
            action=action,
            source_id=source_id,
            source_name=source_name,
            details=json.dumps(details),
        )
    )


def append(engine: Engine, action: str, source_id: str, source_name: str, **details: Any) -> None:
    """Write one record of an action that changes nothing in the store itself."""
    with writing(engine) as connection:
        record(connection, action, source_id, source_name, **details)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record; the time in ns since 1970."""

    time_ns: int
    actor: str
    action: str
    source_id: str
    source_name: str
    details: dict[str, Any]


def of_source(engine: Engine, source_id: str, number: int = RECORDS) -> list[AuditRecord]:
    """The newest records of a source, the newest first."""
    return _read(engine, select(_table).where(_table.c.source_id == source_id), number)


def newest(engine: Engine, number: int = RECORDS) -> list[AuditRecord]:
    """The newest records of all sources, the newest first."""
    return _read(engine, select(_table), number)


def newest_of_sources(engine: Engine, action: str) -> dict[str, AuditRecord]:
    """The newest record of an action for each source, by the ids of the sources."""
    newest_ids = select(func.max(_table.c.id)).where(_table.c.action == action).group_by(_table.c.source_id)
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(select(_table).where(_table.c.id.in_(newest_ids))).all()
    return {row.source_id: _record(row) for row in rows}


def _read(engine: Engine, query: Select[Any], number: int) -> list[AuditRecord]:
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(query.order_by(_table.c.id.desc()).limit(number)).all()
    return [_record(row) for row in rows]


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(row.time_ns, row.actor, row.action, row.source_id, row.source_name, json.loads(row.details))


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Record what this thread does as done by `name`, a person who acts through this process."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Who acts: see `acting_as`. Otherwise the user of this process, as user@host; "unknown" where it has no name."""
    if (name := _actor.get()) is not None:
        return name
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, the user's id may have no entry in passwd
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
