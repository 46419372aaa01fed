"""How much a store grows in a day, read in plain SQL for commands that only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks import clock
from blocks.store.database_size import database_size
from blocks.store.engine import reading, store_errors

if TYPE_CHECKING:
    from sqlalchemy import Engine

DAYS = 7
EVENT_BYTES = 2_000
"""What an event takes with its indexes, for a store that has too few to measure it."""
ENOUGH = 1_000
HOUR_NS = 3600 * 10**9
_COUNTS = text(
    "SELECT coalesce(sum(events), 0) AS total, coalesce(sum(CASE WHEN hour >= :since THEN events END), 0) AS week"
    " FROM hourly_counts"
)


def growth_per_day(engine: Engine) -> int:
    """Bytes: the events of the last week, at the average size of an event in this store. Raises SourceError."""
    since = clock.now_ns() // HOUR_NS - DAYS * 24
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(_COUNTS, {"since": since}).one()
    total, week = int(row.total), int(row.week)
    each = database_size(engine).size / total if total >= ENOUGH else EVENT_BYTES
    return int(week / DAYS * each)
