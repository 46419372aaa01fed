"""The audit log: what was done to the store, by whom and when. Its records are never removed."""

from __future__ import annotations

import getpass
import json
import socket
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from blocks import clock
from blocks.store.tables import AuditLogRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection


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


def actor() -> str:
    """The user of this process, as user@host; the user is "unknown" where the system has no name for it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, the user's id may have no entry in passwd
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
