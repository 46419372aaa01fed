"""How much a store grows in a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from blocks import clock
from blocks.store.database_size import database_size
from blocks.store.engine import reading, store_errors
from blocks.store.hourly_counts import HOUR_NS
from blocks.store.tables import HourlyCountRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAYS = 7
EVENT_BYTES = 2_000
"""What an event takes with its indexes, for a store that has too few to measure it."""
ENOUGH = 1_000


def growth_per_day(engine: Engine) -> int:
    """Bytes: the events of the last week, at the average size of an event in this store. Raises SourceError."""
    hours = table_of(HourlyCountRow)
    since = clock.now_ns() // HOUR_NS - DAYS * 24
    recent = select(func.coalesce(func.sum(hours.c.events), 0)).where(hours.c.hour >= since)
    with store_errors(), reading(engine).connect() as connection:
        total = int(connection.scalar(select(func.coalesce(func.sum(hours.c.events), 0))) or 0)
        week = int(connection.scalar(recent) or 0)
    each = database_size(engine).size / total if total >= ENOUGH else EVENT_BYTES
    return int(week / DAYS * each)
