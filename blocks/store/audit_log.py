"""The audit log: what was done to the store, by whom and when. Its records are never removed."""

from __future__ import annotations

import getpass
import json
import socket
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from blocks import clock
from blocks.store.tables import AuditLogRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_actor: ContextVar[str | None] = ContextVar("actor", default=None)


def record(connection: Connection, action: str, source_id: str, source_name: str, **details: Any) -> None:
    """Write one record, in the transaction of the action that it describes."""
    connection.execute(
        insert(table_of(AuditLogRow)).values(
            time_ns=clock.now_ns(),
            actor=actor(),
            action=action,
            source_id=source_id,
            source_name=source_name,
            details=json.dumps(details),
        )
    )


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
