"""The counts of whole days, stored when they were made, so that a page about a month reads 90 rows and not a million.

A stored day is valid while as many events were counted as the stream has in that day (`hourly_counts`). An event that
came late, or was pruned, makes it invalid; the counter makes it again behind collection. To count is always harmless:
two processes that count the same day write the same.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, bindparam, delete, text

from blocks import clock
from blocks.store.engine import reading, store_errors, writing
from blocks.store.insight import day_counts
from blocks.store.insight.day_counts import DAY_NS, STREAMS_MAX, StreamDay
from blocks.store.on_conflict import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine, TextClause

    from blocks.store.insight.day_counts import DayCounts, PastCounts

KEPT_DAYS = 400
"""Days that the counter counts. Older ones are counted when a page shows them."""

_days = Table(
    "insight_days",
    MetaData(),
    *(Column(name, Integer, primary_key=True) for name in ("stream_id", "day")),
    *(Column(name, BigInteger) for name in ("events", "indexed_id")),
    Column("counts", LargeBinary),
)
# `hour` may be negative: an event's time is what 1Password says, even before 1970.
_DAY = "(hour - ((hour % 24) + 24) % 24) / 24"
_EVENTS = text(
    f"SELECT stream_id, {_DAY} AS day, sum(events) AS events FROM hourly_counts "  # noqa: S608 - constants
    f"WHERE stream_id IN :streams AND hour >= :first AND hour < :after GROUP BY stream_id, {_DAY}"
).bindparams(bindparam("streams", expanding=True))
_OF_STREAMS = "FROM insight_days WHERE stream_id IN :streams AND day >= :first AND day < :after"
_STORED = text(f"SELECT stream_id, day, counts {_OF_STREAMS}").bindparams(bindparam("streams", expanding=True))
_THERE = text(f"SELECT stream_id, day {_OF_STREAMS}").bindparams(bindparam("streams", expanding=True))
_NUMBER = text(f"SELECT count(*) AS days, coalesce(sum(events), 0) AS events {_OF_STREAMS}").bindparams(
    bindparam("streams", expanding=True)
)
_STALE = text(
    "SELECT h.stream_id, h.day, s.api, p.event_id AS indexed_id FROM "  # noqa: S608 - constants
    f"(SELECT stream_id, {_DAY} AS day, sum(events) AS events FROM hourly_counts "
    f"WHERE hour >= :first AND hour < :after GROUP BY stream_id, {_DAY}) h "
    "JOIN streams s ON s.id = h.stream_id JOIN index_positions p ON p.stream_id = h.stream_id "
    "LEFT JOIN insight_days d ON d.stream_id = h.stream_id AND d.day = h.day "
    "WHERE d.day IS NULL OR (d.events <> h.events AND d.indexed_id <> p.event_id) "
    "ORDER BY h.day DESC, h.stream_id LIMIT :limit"
)
_EMPTY = text(
    "SELECT stream_id, day FROM insight_days d WHERE NOT EXISTS (SELECT 1 FROM hourly_counts h "
    "WHERE h.stream_id = d.stream_id AND h.hour >= d.day * 24 AND h.hour < d.day * 24 + 24) LIMIT :limit"
)


class CountedSpan(NamedTuple):
    """Counts by API. `missing` events are stored, but not counted here: they are not indexed or counted yet."""

    by_api: Mapping[str, DayCounts]
    missing: int


class CountsCache:
    """What was made of whole days lately, by their events: a page that is loaded again reads none of them."""

    def __init__(self, size: int = 8) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._made: dict[object, Any] = {}

    def find(self, key: object) -> Any:
        """What was made for this key, which is not to be changed; None if it is not there any more."""
        with self._lock:
            if (found := self._made.pop(key, None)) is not None:
                self._made[key] = found
            return found

    def keep(self, key: object, made: object) -> None:
        """Keep it, and forget what was used least lately."""
        with self._lock:
            self._made[key] = made
            while len(self._made) > self._size:
                del self._made[next(iter(self._made))]


class PastDay(NamedTuple):
    """What one day of the past has to be compared with."""

    day: int
    stream_id: int
    counts: PastCounts


def read_span(
    engine: Engine,
    apis: Mapping[int, str],
    since_ns: int,
    until_ns: int,
    *,
    cache: CountsCache | None = None,
    seconds: float = 2.0,
) -> CountedSpan:
    """Count the events of streams, which are given with their APIs, from `since_ns` to before `until_ns`.

    Whole days are read as they are stored; a day that is not stored, and the parts of days at both ends, are counted
    now, the newest first, for at most about `seconds`.
    """
    first, after = since_ns // DAY_NS, -(-until_ns // DAY_NS)
    with store_errors(), reading(engine).connect() as connection:
        wanted = _events(connection, [*apis], first, after)
        parts = {key for key in wanted if not _is_whole(key.day, since_ns, until_ns)}
        days: dict[str, list[DayCounts]] = {}
        for (api, day), stream_ids in _grouped(parts, apis).items():
            for some in _batches(stream_ids):
                counts = day_counts.count_day(connection, api, day, some, (since_ns, until_ns))
                days.setdefault(api, []).append(counts)
        whole = {key: events for key, events in wanted.items() if key not in parts}
        counted = _read_whole(connection, apis, whole, seconds, cache or CountsCache(0))
    for api, sums in counted.by_api.items():
        days.setdefault(api, []).insert(0, sums)
    return CountedSpan({api: day_counts.add_up(found) for api, found in days.items()}, counted.missing)


def _read_whole(
    connection: Connection,
    apis: Mapping[int, str],
    wanted: Mapping[StreamDay, int],
    seconds: float,
    cache: CountsCache,
) -> CountedSpan:
    """The sums of whole days, of which the events are known."""
    key = frozenset((*day, events) for day, events in wanted.items())
    known: CountedSpan | None = cache.find(key)
    if known is not None:
        return known
    days: dict[str, list[DayCounts]] = {}
    missing = 0
    span = [day.day for day in wanted] or [0]
    stored = dict(_stored(connection, [*apis], min(span), max(span) + 1))
    ends_at = time.monotonic() + seconds
    for day in sorted(wanted, key=lambda one: (-one.day, one.stream_id)):
        counts = stored.get(day)
        if (counts is None or counts.events != wanted[day]) and time.monotonic() < ends_at:
            counts = day_counts.count_day(connection, apis[day.stream_id], day.day, [day.stream_id])
        if counts is not None:
            days.setdefault(apis[day.stream_id], []).append(counts)
        missing += max(wanted[day] - (counts.events if counts else 0), 0)
    sums = CountedSpan({api: day_counts.add_up(found) for api, found in days.items()}, missing)
    if not missing:
        cache.keep(key, sums)
    return sums


def read_past(engine: Engine, stream_ids: Sequence[int], first_day: int, after_day: int) -> list[PastDay]:
    """The stored days of streams from `first_day` to before `after_day`, as far as they are counted."""
    with store_errors(), reading(engine).connect() as connection:
        rows = _rows(connection, _STORED, stream_ids, first_day, after_day)
        return [PastDay(row.day, row.stream_id, counts) for row in rows if (counts := _past(row.counts)) is not None]


def stored_days(engine: Engine, stream_ids: Sequence[int], first_day: int, after_day: int) -> tuple[int, int]:
    """How many days of streams are stored, and how many events they have: if both stay, the counts stay."""
    days = events = 0
    with store_errors(), reading(engine).connect() as connection:
        for some in _batches(stream_ids):
            row = connection.execute(_NUMBER, {"streams": some, "first": first_day, "after": after_day}).one()
            days, events = days + row.days, events + int(row.events)
    return days, events


def uncounted_days(engine: Engine, stream_ids: Sequence[int], first_day: int, after_day: int) -> int:
    """How many days with events are not counted yet."""
    with store_errors(), reading(engine).connect() as connection:
        wanted = _events(connection, stream_ids, first_day, after_day)
        there = {
            StreamDay(row.stream_id, row.day) for row in _rows(connection, _STORED, stream_ids, first_day, after_day)
        }
    return len({one.day for one in wanted.keys() - there})


def count_stale_days(engine: Engine, limit: int) -> int:
    """Count up to `limit` days that are not stored or not valid, the newest first, and store them. Returns how many.

    The current day is left out, because it changes with each page.
    """
    today = clock.now_ns() // DAY_NS
    with store_errors(), reading(engine).connect() as connection:
        span = {"first": (today - KEPT_DAYS) * 24, "after": today * 24, "limit": limit}
        stale: list[Any] = list(connection.execute(_STALE, span))
        empty = [StreamDay(row.stream_id, row.day) for row in connection.execute(_EMPTY, {"limit": limit})]
    for row in stale:
        with store_errors(), reading(engine).connect() as connection:
            counts = day_counts.count_day(connection, row.api, row.day, [row.stream_id])
        _store(engine, StreamDay(row.stream_id, row.day), row.indexed_id, counts)
    if empty:
        _remove(engine, empty)
    return len(stale) + len(empty)


def _store(engine: Engine, key: StreamDay, indexed_id: int, counts: DayCounts) -> None:
    values = {"events": counts.events, "indexed_id": indexed_id, "counts": day_counts.encode(counts)}
    with writing(engine) as connection:
        connection.execute(Upsert(_days).values(**key._asdict(), **values))


def _remove(engine: Engine, keys: Iterable[StreamDay]) -> None:
    """Remove days that have no events any more."""
    with writing(engine) as connection:
        for key in keys:
            connection.execute(delete(_days).where(_days.c.stream_id == key.stream_id, _days.c.day == key.day))


def _grouped(parts: Iterable[StreamDay], apis: Mapping[int, str]) -> dict[tuple[str, int], list[int]]:
    """The streams by API and day."""
    found: dict[tuple[str, int], list[int]] = {}
    for key in sorted(parts):
        found.setdefault((apis[key.stream_id], key.day), []).append(key.stream_id)
    return found


def _is_whole(day: int, since_ns: int, until_ns: int) -> bool:
    return since_ns <= day * DAY_NS and (day + 1) * DAY_NS <= until_ns


def _events(connection: Connection, stream_ids: Sequence[int], first: int, after: int) -> dict[StreamDay, int]:
    """How many events streams have in each day that has some."""
    span = {"first": first * 24, "after": after * 24}
    return {
        StreamDay(row.stream_id, row.day): int(row.events)
        for some in _batches(stream_ids)
        for row in connection.execute(_EVENTS, {"streams": some, **span})
    }


def _stored(
    connection: Connection, stream_ids: Sequence[int], first: int, after: int
) -> Iterator[tuple[StreamDay, DayCounts]]:
    for row in _rows(connection, _STORED, stream_ids, first, after):
        try:
            yield StreamDay(row.stream_id, row.day), day_counts.decode(row.counts)
        except ValueError:  # of another version of this program: it is counted again
            continue


def _rows(
    connection: Connection, query: TextClause, stream_ids: Sequence[int], first: int, after: int
) -> Iterator[Any]:
    for some in _batches(stream_ids):
        yield from connection.execute(query, {"streams": some, "first": first, "after": after})


def _past(data: bytes) -> PastCounts | None:
    try:
        return day_counts.decode_past(data)
    except ValueError:
        return None


def _batches(stream_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (stream_ids[start : start + STREAMS_MAX] for start in range(0, len(stream_ids), STREAMS_MAX))
