"""Items in quarantine: what cannot be stored as an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from blocks.store.engine import reading, store_errors
from blocks.store.tables import QuarantinedItemRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

_quarantine = table_of(QuarantinedItemRow)


def last_ns(engine: Engine, stream_id: int) -> int | None:
    """When an item of the stream was last quarantined, in ns since 1970; None if there is none."""
    with store_errors(), reading(engine).connect() as connection:
        last = select(func.max(_quarantine.c.received_ns)).where(_quarantine.c.stream_id == stream_id)
        found: int | None = connection.execute(last).scalar()
    return found
