"""The spans of time that live collection has read completely, recorded independently of which events exist.

A cursor continues where it stopped, so a pause of collection leaves no gap once the stream is read to its end again.
Two things do leave a gap: a cursor that was dropped and restarted at a later time, and a pause of more than 120 days,
of which 1Password has dropped the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from blocks.durations import DAYS_MAX
from blocks.store.tables import CollectedSpanRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

DAY_NS = 86_400 * 10**9
KEPT_NS = DAYS_MAX * DAY_NS
STARTING_NS = DAY_NS
"""How long the first request of a new stream may precede the run that drains it, so that all of the 120 days count."""

_spans = table_of(CollectedSpanRow)


def extend(connection: Connection, stream_id: int, read_from_ns: int | None, started_ns: int) -> None:
    """Record that a run that started at `started_ns` has read a stream to its end.

    `read_from_ns` is the start time of the first request, from which the cursor descends; with None, nothing is
    recorded. Times are nanoseconds since 1970.
    """
    if read_from_ns is None:
        return
    query = select(_spans.c.id, _spans.c.end_ns).where(_spans.c.stream_id == stream_id)
    last = connection.execute(query.order_by(_spans.c.end_ns.desc()).limit(1)).first()
    retention_ns = KEPT_NS + (STARTING_NS if last is None else 0)
    from_ns = max(read_from_ns, started_ns - retention_ns)
    if last is None or last.end_ns < from_ns:
        if from_ns < started_ns:
            connection.execute(_spans.insert().values(stream_id=stream_id, start_ns=from_ns, end_ns=started_ns))
    elif started_ns > last.end_ns:
        connection.execute(update(_spans).where(_spans.c.id == last.id).values(end_ns=started_ns))
