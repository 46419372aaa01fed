"""A record of what was done to the store, by whom and when; nothing removes it."""

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
    """Write one record, in the transaction of what it tells of."""
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
    """user@host, as far as this machine tells them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a user of that number
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
