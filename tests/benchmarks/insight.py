"""How long the page Insight takes on a large store whose events are indexed, such as `search.py` makes.

    .venv/bin/python tests/benchmarks/insight.py sqlite:////path/to/events.db

It counts the days that are not stored yet, as the console does behind its pages, and then makes the report of each
span: first with nothing in memory, then again, as a person who looks around. CPU time stands beside the time, since a
machine is only ever slowed by others.

SQLite, 10 million events of 12 streams in 119 days, 5,000 users, 60,000 items, two cores under other load (29 November
2026): 1,428 days of streams in 71 s of CPU time (50 ms each), 49 MB of counts in a store of 10.7 GB. Seconds of CPU
time for 1, 7, 30, 90 and 120 days: 1.5, 2.2, 2.8, 4.0, 4.5 at first, and 0.6 to 0.8 again.

PostgreSQL, a million events of the same kind, on the same busy machine: 9 MB of counts; in seconds 0.5, 0.4, 0.8, 3.0,
1.8 at first, and 0.2 to 0.4 again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import text

from blocks.store import schema
from blocks.store.engine import open_engine, open_reader
from blocks.store.insight.counted_days import CountsCache, count_stale_days
from blocks.store.insight.day_counts import DAY_NS
from blocks.store.insight.figures import InsightQuery
from blocks.store.insight.report import build_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

SPANS = (1, 7, 30, 90, 120)  # days
REPEATS = 3


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """The seconds and the CPU seconds that some work takes."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu


def count_days(engine: Engine) -> int:
    days = 0
    while number := count_stale_days(engine, 10):
        days += number
    return days


def size(engine: Engine) -> tuple[int, int, int]:
    """Events, stored days, and bytes of their counts."""
    query = "SELECT count(*), coalesce(sum(length(counts)), 0) FROM insight_days"
    with engine.connect() as connection:
        events = connection.execute(text("SELECT sum(events) FROM streams")).scalar_one()
        days, octets = connection.execute(text(query)).one()
    return int(events), int(days), int(octets)


def newest_ns(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT max(time_ns) FROM event_index")).scalar_one())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the URL of a store whose events are indexed")
    url = parser.parse_args().url
    engine = open_engine(url)
    schema.upgrade(engine)
    seconds, cpu = timed(lambda: count_days(engine))
    events, days, octets = size(engine)
    print(f"{events:,} events; {days:,} days of streams, {octets / 1e6:,.0f} MB of counts")  # noqa: T201
    print(f"counted what was missing in {seconds:,.1f} s, {cpu:,.1f} s of CPU time")  # noqa: T201
    reader, until_ns = open_reader(url), newest_ns(engine) + 1
    build_report(reader, InsightQuery(until_ns - DAY_NS, until_ns))  # imports, and the first connections
    print("days   first: s   CPU s   again: s   CPU s")  # noqa: T201
    for span in SPANS:
        query, cache = InsightQuery(until_ns - span * DAY_NS, until_ns), CountsCache()
        first = timed(lambda: build_report(reader, query, cache))  # noqa: B023 - called at once
        again = min(timed(lambda: build_report(reader, query, cache)) for _ in range(REPEATS))  # noqa: B023
        print(f"{span:4}   {first[0]:8.2f}   {first[1]:5.2f}   {again[0]:8.2f}   {again[1]:5.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
