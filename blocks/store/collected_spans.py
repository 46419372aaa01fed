"""Of which spans of time live collection has read all there was: the store's own record, whatever events there are.

A cursor goes on where it stood, so a pause of collection leaves no gap once the stream is read to its end again. Two
things do: a cursor that was dropped and begun anew at a later time, and a pause of more than 120 days, of which
1Password has dropped the beginning.
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
"""How long before the run that drains a new stream its first request may have been made, for all of the 120 days."""

_spans = table_of(CollectedSpanRow)


def extend(connection: Connection, stream_id: int, read_from_ns: int | None, started_ns: int) -> None:
    """A stream was read to its end by a run that started at `started_ns`.

    `read_from_ns` is where the first request began that its cursor descends from. Times are nanoseconds since 1970.
    """
    if read_from_ns is None:
        return
    asked = select(_spans.c.id, _spans.c.end_ns).where(_spans.c.stream_id == stream_id)
    last = connection.execute(asked.order_by(_spans.c.end_ns.desc()).limit(1)).first()
    kept_ns = KEPT_NS + (STARTING_NS if last is None else 0)
    from_ns = max(read_from_ns, started_ns - kept_ns)
    if last is None or last.end_ns < from_ns:
        if from_ns < started_ns:
            connection.execute(_spans.insert().values(stream_id=stream_id, start_ns=from_ns, end_ns=started_ns))
    elif started_ns > last.end_ns:
        connection.execute(update(_spans).where(_spans.c.id == last.id).values(end_ns=started_ns))
