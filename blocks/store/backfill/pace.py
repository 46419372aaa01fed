"""How fast a job is read, from its windows that were finished lately, and how long the rest takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from blocks import clock
from blocks.store.engine import reading, store_errors
from blocks.store.tables import WindowRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

LATELY_NS = 900 * 10**9
"""Windows that were finished in the last quarter of an hour count."""

_windows = table_of(WindowRow)


def time_left_ns(engine: Engine, job_id: str) -> int | None:
    """The time until a job is read, in ns, if it goes on as lately. None if no window was finished lately."""
    c, now_ns = _windows.c, clock.now_ns()
    is_done, span_ns = c.done_ns.is_not(None), c.end_ns - c.start_ns
    is_recent = c.done_ns >= now_ns - LATELY_NS
    query = select(
        func.sum(span_ns).filter(is_recent), func.min(c.begun_ns).filter(is_recent), func.sum(span_ns).filter(~is_done)
    )
    with store_errors(), reading(engine).connect() as connection:
        read_ns, begun_ns, left_ns = connection.execute(query.where(c.job_id == job_id)).one()
    if not read_ns or begun_ns is None:
        return None
    seconds = (now_ns - max(begun_ns, now_ns - LATELY_NS)) / int(read_ns)
    return int(seconds * int(left_ns or 0))
