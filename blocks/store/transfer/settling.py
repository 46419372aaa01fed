"""What changes in a store when it continues on another machine or in another database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, update

from blocks import clock
from blocks.store import audit_log
from blocks.store.claims import RELEASE_VALUES
from blocks.store.tables import PairRow, PositionRow, SourceRow, StreamRow, WindowRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CLAIMED = (StreamRow, WindowRow, PositionRow)
_sources, _pairs = table_of(SourceRow), table_of(PairRow)


def settle(connection: Connection, action: str, *, paused: bool = False, **details: Any) -> None:
    """Void all claims, because their runs belong to the other store, and record what was done.

    Runs are due from now on, so that the time in between is not reported as an outage. With `paused`, the schedules of
    all sources and pairs are stopped, as by `stop` and `siem pause`.
    """
    now_ns = clock.now_ns()
    for model in _CLAIMED:
        table = table_of(model)
        connection.execute(update(table).values(fence=table.c.fence + 1, **RELEASE_VALUES))
    present = _sources.c.deleted_ns.is_(None)
    connection.execute(update(_sources).where(present).values(due_ns=now_ns))
    if paused:
        for table in (_sources, _pairs):
            stopping = update(table).values(paused_ns=func.coalesce(table.c.paused_ns, now_ns))
            connection.execute(stopping.where(present) if table is _sources else stopping)
    audit_log.record(connection, action, "", "", paused=paused, **details)
