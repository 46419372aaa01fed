"""Counts for a search: events by time, for a histogram, and the most frequent values of each member.

They take longer than the first page, so a page loads them after it. Both stop when their time is over and say so.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, text, union_all

from blocks.store.engine import reading, store_errors
from blocks.store.search import candidates, days
from blocks.store.search.members import MEMBERS
from blocks.store.search.query import ResolvedQuery, SearchQuery, resolve
from blocks.store.search.results import walk_back
from blocks.store.tables import EventIndexRow, IndexValueRow, UserNameRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine

SECONDS = 3.0
BUCKETS_MAX = 400
NEWEST = 20_000
"""So many of the newest matches are looked at for the most frequent values."""
TOP = 10
MATCHES_MAX = 1_000_000  # of a text: more are not counted
_SHOWN = ("user", "action", "type", "ip", "country", "client", "vault", "item")

_index = table_of(EventIndexRow)
_names = table_of(UserNameRow)
_values = table_of(IndexValueRow)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many events match in each bucket; the first begins at `since_ns`, each is `bucket_ns` long.

    Buckets begin at multiples of their length since 1970, so those of days begin at midnight in UTC.
    `counted_from_ns`: the time was over, so buckets that end before it are not counted. Times are ns since 1970.
    """

    since_ns: int
    bucket_ns: int
    counts: tuple[int, ...]
    counted_from_ns: int

    @property
    def is_complete(self) -> bool:
        return self.counted_from_ns <= self.since_ns

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A value and how many of the events have it. `name` is what people call it: of a user, the address or name."""

    value: str
    events: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FrequentValues:
    """The most frequent values of each member, among the newest `events` matches. `is_cut`: there are more matches."""

    events: int
    is_cut: bool
    members: dict[str, tuple[ValueCount, ...]] = field(default_factory=dict)


def span(engine: Engine) -> tuple[int, int] | None:
    """The times of the oldest and the newest indexed event (ns since 1970); None if there is none."""
    ends = union_all(select(func.min(_index.c.time_ns)), select(func.max(_index.c.time_ns)))
    with store_errors(), reading(engine).connect() as connection:
        oldest, newest = connection.scalars(ends)
    return None if oldest is None else (min(oldest, newest), max(oldest, newest))


def histogram(engine: Engine, query: SearchQuery, bucket_ns: int, seconds: float = SECONDS) -> Histogram:
    """Count the matches of a query by time, the newest buckets first, for at most so many seconds.

    `query` has both times; there are at most BUCKETS_MAX buckets. Raises ValueError if there would be more.
    """
    first_ns = query.since_ns // bucket_ns * bucket_ns
    number = -(-(query.until_ns - first_ns) // bucket_ns)
    if number > BUCKETS_MAX:
        raise ValueError(f"{number} buckets are more than {BUCKETS_MAX}")
    with store_errors(), reading(engine).connect() as connection:
        resolved = resolve(connection, query)
        if resolved.is_empty:
            return Histogram(first_ns, bucket_ns, (0,) * max(number, 0), first_ns)
        if resolved.needles:
            return _count_texts(connection, resolved, Histogram(first_ns, bucket_ns, (0,) * number, first_ns), seconds)
        return _count(connection, resolved, Histogram(first_ns, bucket_ns, (0,) * number, first_ns), seconds)


def frequent_values(engine: Engine, query: SearchQuery, seconds: float = SECONDS) -> FrequentValues:
    """The most frequent values of the newest matches."""
    with store_errors(), reading(engine).connect() as connection:
        walk = walk_back(connection, resolve(connection, query), None, seconds)
        ids = [position.event_id for position in walk.take(NEWEST)]
        counters = _count_values(connection, ids)
        top = {member: counter.most_common(TOP) for member, counter in counters.items() if counter}
        names = _read_values(connection, {id_ for pairs in top.values() for id_, _ in pairs})
    members = {
        member: tuple(ValueCount(names[id_][0], events, names[id_][1]) for id_, events in pairs if id_ in names)
        for member, pairs in top.items()
    }
    return FrequentValues(len(ids), walk.after is not None, members)


def suggest(engine: Engine, member: str, prefix: str, limit: int = TOP) -> list[ValueCount]:
    """Values of a member that begin with these letters, for a form; of users, also their addresses and names."""
    kind = MEMBERS[member]
    begins = _values.c.value.startswith(prefix, autoescape=True)
    query = select(_values.c.value, _names.c.email, _names.c.name).select_from(
        _values.outerjoin(_names, _names.c.user_id == _values.c.id)
    )
    if member == "user":
        named = [
            func.lower(column).contains(prefix.lower(), autoescape=True) for column in (_names.c.email, _names.c.name)
        ]
        query = query.where(_names.c.user_id.is_not(None), begins | named[0] | named[1])
    else:
        query = query.where(_values.c.kind == int(kind), begins)
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(query.order_by(_values.c.value).limit(limit)).all()
    return [ValueCount(row.value, 0, row.email or row.name) for row in rows]


def _count(connection: Connection, query: ResolvedQuery, empty: Histogram, seconds: float) -> Histogram:
    deadline = time.monotonic() + seconds
    present = list(days.between(connection, query.since_ns, query.until_ns))
    chosen = candidates.choose(connection, query, present) if present else None
    counts = list(empty.counts)
    for place in reversed(range(len(counts))):
        since_ns = empty.since_ns + place * empty.bucket_ns
        start_ns, until_ns = max(since_ns, query.since_ns), min(since_ns + empty.bucket_ns, query.until_ns)
        within = [day for day in present if (day + 1) * days.DAY_NS > start_ns and day * days.DAY_NS < until_ns]
        if chosen is not None and within:
            counts[place] = candidates.count(connection, chosen.within(start_ns, until_ns), within)
        if place and time.monotonic() >= deadline:
            return replace(empty, counts=tuple(counts), counted_from_ns=since_ns)
    return replace(empty, counts=tuple(counts))


def _count_texts(connection: Connection, query: ResolvedQuery, empty: Histogram, seconds: float) -> Histogram:
    walk = walk_back(connection, query, None, seconds)
    counts = list(empty.counts)
    for position in walk.take(MATCHES_MAX):
        counts[(position.time_ns - empty.since_ns) // empty.bucket_ns] += 1
    counted_from_ns = empty.since_ns if walk.after is None else walk.after.time_ns
    return replace(empty, counts=tuple(counts), counted_from_ns=counted_from_ns)


def _count_values(connection: Connection, event_ids: Sequence[int]) -> dict[str, Counter[int]]:
    counters: dict[str, Counter[int]] = {member: Counter() for member in _SHOWN}
    columns = ", ".join(f"{member}_id" for member in _SHOWN)
    for start in range(0, len(event_ids), 2000):
        ids = ",".join(map(str, event_ids[start : start + 2000]))
        rows = connection.execute(text(f"SELECT {columns} FROM event_index WHERE event_id IN ({ids})")).all()  # noqa: S608
        for counter, column in zip(counters.values(), zip(*rows, strict=True), strict=False):
            counter.update(column)
    for counter in counters.values():
        counter.pop(None, None)  # type: ignore[call-overload]  # an event without this member
    return counters


def _read_values(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    query = (
        select(_values.c.id, _values.c.value, _names.c.email, _names.c.name)
        .select_from(_values.outerjoin(_names, _names.c.user_id == _values.c.id))
        .where(_values.c.id.in_(bindparam("ids", sorted(ids), expanding=True)))
    )
    return {row.id: (row.value, row.email or row.name) for row in connection.execute(query)}
