"""How many stored events the index does not have yet. No search finds them, so every result says how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks.store.sources import PURGING

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COUNT = text(
    "SELECT coalesce(sum(s.events), 0) - coalesce(sum(p.events), 0) FROM streams s "
    "JOIN sources o ON o.id = s.source_id LEFT JOIN index_positions p ON p.stream_id = s.id "
    "WHERE o.deleted_ns IS NULL OR o.state <> :purging"
)


def count(connection: Connection) -> int:
    """The number of events that are stored and not indexed."""
    return max(int(connection.execute(_COUNT, {"purging": PURGING}).scalar_one()), 0)
