"""The candidates of a search: events by the rarest of its conditions, newest first, some days in one query.

One condition leads: its index is read in the order of time, and the other conditions are checked at each row. Both
databases are made to use that index, because a plan that walks through time in search of a rare user reads millions
of rows. SQLite takes the name of the index. PostgreSQL takes it because of the day in the order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.store.engine import is_sqlite
from blocks.store.search.days import DAY_NS
from blocks.store.search.query import LATEST_NS, Condition, Position, ResolvedQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

PROBE = 5000  # events of a condition that are counted, to find the rarest
_UNINDEXED = {"version_id", "os_id"}
_NO_DAY = -(2**31)
"""With one day alone, PostgreSQL drops it from the order, and may walk through the times of that day instead."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The events of one condition, or of all time if it is None, and the conditions to check at each."""

    query: ResolvedQuery
    lead: Condition | None
    rest: tuple[Condition, ...]

    def within(self, since_ns: int, until_ns: int) -> Candidates:
        """The same between two times (ns since 1970)."""
        return replace(self, query=replace(self.query, since_ns=since_ns, until_ns=until_ns))


def choose(connection: Connection, query: ResolvedQuery, days: Sequence[int]) -> Candidates:
    """Let the rarest of the conditions on these days lead; time, if there is none."""
    leads = [condition for condition in query.conditions if not _UNINDEXED.intersection(condition.columns)]
    if not leads:
        return Candidates(query, None, query.conditions)
    lead = leads[0] if len(leads) == 1 else min(leads, key=lambda one: _probe(connection, query, one, days))
    return Candidates(query, lead, tuple(one for one in query.conditions if one is not lead))


def matches(
    connection: Connection, candidates: Candidates, days: Sequence[int], before: Position, number: int
) -> Sequence[Row[Any]]:
    """The first `number` events after `before` on these days whose columns match: time_ns, event_id."""
    parts = _parts(connection, candidates, days, number)
    query = f"SELECT time_ns, event_id FROM ({parts}) AS c ORDER BY time_ns DESC, event_id DESC LIMIT :number"  # noqa: S608
    return connection.execute(text(query), {**_bounds(candidates.query, days, before), "number": number}).all()


def count(connection: Connection, candidates: Candidates, days: Sequence[int]) -> int:
    """How many events of the query's time, on these days, match by their columns."""
    parts = _parts(connection, candidates, days, None)
    values = _bounds(candidates.query, days, start_of(candidates.query))
    return int(connection.execute(text(f"SELECT count(*) FROM ({parts}) AS c"), values).scalar_one())  # noqa: S608


def start_of(query: ResolvedQuery) -> Position:
    """The position before the newest event."""
    return Position(query.until_ns, -LATEST_NS)


def _probe(connection: Connection, query: ResolvedQuery, condition: Condition, days: Sequence[int]) -> int:
    parts = _parts(connection, Candidates(query, condition, ()), days, None)
    values = {**_bounds(query, days, start_of(query)), "most": PROBE}
    first = f"SELECT count(*) FROM (SELECT 1 FROM ({parts}) AS c LIMIT :most) AS f"  # noqa: S608
    return int(connection.execute(text(first), values).scalar_one())


def _bounds(query: ResolvedQuery, days: Sequence[int], before: Position) -> dict[str, int]:
    since_ns = max(query.since_ns, min(days) * DAY_NS)
    before = min(before, Position(min((max(days) + 1) * DAY_NS, LATEST_NS), -LATEST_NS))
    return {"before_ns": before.time_ns, "before_id": before.event_id, "since_ns": since_ns}


def _parts(connection: Connection, candidates: Candidates, days: Sequence[int], number: int | None) -> str:
    """A query for time_ns and event_id. An event can be in two of its parts, which are of different columns."""
    columns = candidates.lead.columns if candidates.lead else (None,)
    parts = [_part(connection, candidates, column, days, number) for column in columns]
    return " UNION ".join(f"SELECT time_ns, event_id FROM ({part}) AS p" for part in parts)  # noqa: S608


def _part(
    connection: Connection, candidates: Candidates, column: str | None, days: Sequence[int], number: int | None
) -> str:
    if not is_sqlite(connection.engine):
        days = (*days, _NO_DAY)
    index = f"event_index_by_{column.removesuffix('_id') if column else 'time'}"
    by_index = f" INDEXED BY {index}" if is_sqlite(connection.engine) else ""
    lead = f"day IN ({_list(days)}) AND {column} IN ({_list(_ids(candidates))}) AND " if column else ""
    order = (
        ""
        if number is None
        else f" ORDER BY {'day DESC, ' if column else ''}time_ns DESC, event_id DESC LIMIT {number}"
    )
    return f"SELECT time_ns, event_id FROM event_index{by_index} WHERE {lead}{_RANGE}{_checks(candidates)}{order}"  # noqa: S608


def _ids(candidates: Candidates) -> tuple[int, ...]:
    return candidates.lead.ids if candidates.lead else ()


_RANGE = "time_ns <= :before_ns AND (time_ns < :before_ns OR event_id < :before_id) AND time_ns >= :since_ns"


def _checks(candidates: Candidates) -> str:
    parts = [f" AND ({_any_of(condition)})" for condition in candidates.rest]
    if candidates.query.failed is not None:
        parts.append(f" AND failed = {'true' if candidates.query.failed else 'false'}")
    return "".join(parts)


def _any_of(condition: Condition) -> str:
    # `+ 0`: the condition is checked at each row, and leads to no index.
    return " OR ".join(f"{column} + 0 IN ({_list(condition.ids)})" for column in condition.columns)


def _list(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers)) or "NULL"
