"""What the store records about collection, in plain SQL: spans, windows that were read, counts by the hour.

It never counts events: the transactions that store or prune events maintain the hourly counts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks import clock
from blocks.coverage.gaps import DAY_NS, HOUR_NS, KEPT_NS, CoverageRecord, ReadWindow, coverage
from blocks.coverage.report import report
from blocks.store.engine import reading, store_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.coverage.report import Report

LAG_HOURS_MAX = 3000
"""The most hours of an API whose lag is computed; 120 days have 2,880."""


def records(engine: Engine, source_id: str, apis: Sequence[str] = ()) -> list[CoverageRecord]:
    """What was read of each API of a source, or of `apis` only. The default includes former APIs with events."""
    with store_errors(), reading(engine).connect() as connection:
        source = connection.execute(_SOURCE, {"source": source_id}).one()
        streams = connection.execute(_STREAMS, {"source": source_id}).all()
        spans = _by_stream(connection, _SPANS, source_id)
        windows = _by_stream(connection, _WINDOWS, source_id)
    collected = json.loads(source.apis)
    return [
        _record(stream, source, collected, spans[stream.id], windows[stream.id])
        for stream in streams
        if (stream.api in apis if apis else stream.api in collected or stream.events)
    ]


def report_of(
    engine: Engine,
    source_id: str,
    name: str,
    since_ns: int,
    *,
    apis: Sequence[str] = (),
    by_hour: bool = False,
    with_lags: bool = False,
) -> Report:
    """The coverage report of a source, or of some of its APIs, from `since_ns` on (since 1970).

    It begins later if there is nothing to report before.
    """
    now_ns = clock.now_ns()
    coverages = [coverage(record, now_ns) for record in records(engine, source_id, apis)]
    ids = [one.record.stream_id for one in coverages]
    starts = [now_ns - KEPT_NS, *(one.first_ns for one in coverages if one.first_ns is not None)]
    if (first_ns := oldest_ns(engine, ids)) is not None:
        starts.append(first_ns)
    since_ns = max(since_ns, min(starts)) // DAY_NS * DAY_NS
    lags = hourly_lags(engine, ids, since_ns) if with_lags else {}
    counts = hourly_counts(engine, ids, since_ns, now_ns + DAY_NS)
    return report(name, coverages, counts, lags, since_ns=since_ns, now_ns=now_ns, by_hour=by_hour, whole=not apis)


def hourly_counts(engine: Engine, stream_ids: Iterable[int], since_ns: int, until_ns: int) -> dict[int, dict[int, int]]:
    """By stream, the number of events in each hour (counted since 1970) that begins within the span."""
    parameters = {"first": -(-since_ns // HOUR_NS), "last": -(-until_ns // HOUR_NS)}
    counts: dict[int, dict[int, int]] = {}
    with store_errors(), reading(engine).connect() as connection:
        for stream_id in stream_ids:
            rows = connection.execute(_HOURS, {**parameters, "stream": stream_id})
            counts[stream_id] = {row[0]: row[1] for row in rows}
    return counts


def oldest_ns(engine: Engine, stream_ids: Iterable[int]) -> int | None:
    """The start of the first hour with events (ns since 1970); None if there are no events."""
    with store_errors(), reading(engine).connect() as connection:
        hours = [connection.execute(_OLDEST, {"stream": stream_id}).scalar() for stream_id in stream_ids]
    return min((hour * HOUR_NS for hour in hours if hour is not None), default=None)


def hourly_lags(engine: Engine, stream_ids: Iterable[int], since_ns: int) -> dict[int, dict[int, int]]:
    """By stream and hour since 1970, the age of the newest event of that hour when it was stored, in ns.

    One event represents each hour and is found by the index on the time. So the cost grows with the hours, of which
    only the newest `LAG_HOURS_MAX` are read, and not with the events. A first run or a backfill stores events long
    after they happened, so their lag is large.
    """
    current_hour = clock.now_ns() // HOUR_NS
    parameters = {"first": -(-since_ns // HOUR_NS), "now": current_hour, "hour": HOUR_NS, "most": LAG_HOURS_MAX}
    lags: dict[int, dict[int, int]] = {}
    with store_errors(), reading(engine).connect() as connection:
        for stream_id in stream_ids:
            rows = connection.execute(_LAGS, {**parameters, "stream": stream_id})
            lags[stream_id] = {hour: max(lag, 0) for hour, lag in rows if lag is not None}
    return lags


_SOURCE = text("SELECT apis, paused_ns, deleted_ns FROM sources WHERE id = :source")
_STREAMS = text("SELECT * FROM streams WHERE source_id = :source ORDER BY id")
_SPANS = text(
    "SELECT p.stream_id, p.start_ns, p.end_ns FROM collected_spans p JOIN streams s ON s.id = p.stream_id "
    "WHERE s.source_id = :source ORDER BY p.start_ns"
)
# Each reconcile reads the same windows again: the last reading counts, since it covers what the earlier ones did.
_WINDOWS = text(
    "SELECT w.stream_id, j.kind, w.start_ns, w.end_ns, max(w.begun_ns) AS begun_ns, max(w.done_ns) AS done_ns "
    "FROM jobs j JOIN windows w ON w.job_id = j.id WHERE j.source_id = :source AND w.done_ns IS NOT NULL "
    "AND w.begun_ns IS NOT NULL GROUP BY w.stream_id, j.kind, w.start_ns, w.end_ns"
)
_HOURS = text(
    "SELECT hour, events FROM hourly_counts "
    "WHERE stream_id = :stream AND hour >= :first AND hour < :last AND events > 0"
)
_OLDEST = text("SELECT min(hour) FROM hourly_counts WHERE stream_id = :stream AND events > 0")
_LAGS = text(
    "SELECT h.hour, (SELECT e.received_ns - e.time_ns FROM events e WHERE e.stream_id = :stream "
    "AND e.time_ns >= h.hour * :hour AND e.time_ns < (h.hour + 1) * :hour ORDER BY e.time_ns DESC LIMIT 1) "
    "FROM (SELECT hour FROM hourly_counts WHERE stream_id = :stream AND hour >= :first AND hour <= :now AND events > 0 "
    "ORDER BY hour DESC LIMIT :most) h"
)


def _by_stream(connection: Connection, query: Any, source_id: str) -> defaultdict[int, list[Row[Any]]]:
    rows: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query, {"source": source_id}):
        rows[row.stream_id].append(row)
    return rows


def _record(
    row: Row[Any], source: Row[Any], collected: list[str], spans: list[Row[Any]], windows: list[Row[Any]]
) -> CoverageRecord:
    return CoverageRecord(
        stream_id=row.id,
        api=row.api,
        read_from_ns=row.read_from_ns,
        drained_ns=row.drained_ns,
        progress_ns=row.progress_ns,
        spans=tuple((span.start_ns, span.end_ns) for span in spans),
        windows=tuple(
            ReadWindow(window.start_ns, window.end_ns, window.begun_ns, window.done_ns, window.kind == "reconcile")
            for window in windows
        ),
        stopped=_stopped(source, row.api in collected),
        events=row.events,
        late=row.late,
        missed=row.missed,
        undecided=row.undecided,
        changed=row.changed,
    )


def _stopped(source: Row[Any], is_collected: bool) -> str:
    if source.deleted_ns is not None:
        return "deleted"
    if not is_collected:
        return "unsupported"
    return "stopped" if source.paused_ns is not None else ""
