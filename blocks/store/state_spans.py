"""The states of a source over time: runs in a row that ended in one state are one span. A healthy week is one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from blocks import clock
from blocks.store.engine import reading, store_errors
from blocks.store.tables import StateSpanRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

KEPT_NS = 90 * 86_400 * 10**9
PAUSE_NS = 15 * 60 * 10**9
"""A longer pause between two runs shows as one: three ticks."""
BEGUN = frozenset({"Pending", "Started", "Initialized", "Authenticated", "Collecting", "Stopping"})
"""States of a run that is not over. They last for seconds, so they are no spans."""

_spans = table_of(StateSpanRow)


@dataclass(frozen=True, slots=True)
class StateSpan:
    """Runs in a row that ended in `state`: when the first and the last ended, in ns since 1970, and how many."""

    start_ns: int
    end_ns: int
    state: str
    message: str
    runs: int
    first_run_id: str
    last_run_id: str


def record(connection: Connection, source_id: str, state: str, message: str, run_id: str) -> None:
    """Add a run that ended in `state` to the last span, or begin another. Call it under the source's row lock."""
    if state in BEGUN:
        return
    now_ns = clock.now_ns()
    query = select(_spans).where(_spans.c.source_id == source_id).order_by(_spans.c.end_ns.desc(), _spans.c.id.desc())
    last = connection.execute(query.limit(1)).one_or_none()
    ending = {"end_ns": now_ns, "message": message, "last_run_id": run_id}
    if last is not None and last.state == state and last.end_ns <= now_ns <= last.end_ns + PAUSE_NS:
        runs = last.runs + (last.last_run_id != run_id)
        connection.execute(update(_spans).where(_spans.c.id == last.id).values(runs=runs, **ending))
        return
    first = {"source_id": source_id, "start_ns": now_ns, "state": state, "runs": 1, "first_run_id": run_id}
    connection.execute(insert(_spans).values(**first, **ending))
    old = (_spans.c.source_id == source_id) & (_spans.c.end_ns < now_ns - KEPT_NS)
    connection.execute(delete(_spans).where(old))


def since(engine: Engine, source_id: str, since_ns: int) -> list[StateSpan]:
    """The spans that ended at `since_ns` (since 1970) or later, oldest first."""
    columns = [_spans.c[name] for name in StateSpan.__dataclass_fields__]
    query = select(*columns).where(_spans.c.source_id == source_id, _spans.c.end_ns >= since_ns)
    with store_errors(), reading(engine).connect() as connection:
        return [StateSpan(*row) for row in connection.execute(query.order_by(_spans.c.end_ns, _spans.c.id))]
