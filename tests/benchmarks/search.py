"""The search of a large store: what the index costs, and how soon the first rows of a search are there.

It makes a store of ten million events of 120 days (`search_store.py`), indexes them, and prints for each database:

- the index: seconds, events a second, and bytes beside those of the events;
- collection: seconds for pages of a thousand events, committed as fast as possible and once every 0.2 s, without an
  indexer and while one runs in another process;
- searches: the time to the first 50 rows for a span of time and one value of each member, chosen as often as events
  have it, the median and the slowest of `--values`; text that no event has, within a day; the counts.

A search is "new" on connections that were just opened (on SQLite their page cache is empty, the system's is not).
`--url` measures a store that is there already; it adds events to it.

November 2026, ten million events, 2 cores beside ten other busy processes: the README has the figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import search_store
from collect import console
from databases import Databases
from rich import box
from rich.table import Table
from search_store import DAY_NS, SECOND, SOURCES
from sqlalchemy import text

from blocks import clock
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.engine import PAGE_BYTES, is_sqlite, open_engine, open_reader
from blocks.store.search import counts, results
from blocks.store.search.indexer import index_batch
from blocks.store.search.query import SearchQuery
from blocks.store.search.run_indexer import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

MEMBERS = ("user", "ip", "action", "item", "vault", "country", "client", "person")
SPANS = {"24 h": DAY_NS, "30 days": 30 * DAY_NS, "all time": None}
PACE_SECONDS = 0.2
INDEXER = """
import sys, threading
from blocks.store.engine import open_engine
from blocks.store.search.run_indexer import run_indexer
run_indexer(open_engine(sys.argv[1]), threading.Event())
"""


@dataclass
class SearchTimes:
    """Milliseconds of each search."""

    new: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--values", type=int, default=20, help="values of each member that are searched for")
    parser.add_argument("--pages", type=int, default=60, help="pages of each collection")
    parser.add_argument("--url", help="a store to measure instead; it is changed")
    options = parser.parse_args()
    out = console
    with ExitStack() as stack:
        if options.url:
            measure(out, options.url, options)
            return
        databases = Databases(stack)
        for kind in options.databases.split(","):
            with databases.empty(kind) as url:
                fill(out, url, options)
                measure(out, url, options)


def fill(out: Console, url: str, options: argparse.Namespace) -> None:
    started = time.monotonic()
    with out.status("making events") as shown:
        end_ns = clock.now_ns() // SECOND * SECOND

        def show(made: int) -> None:
            shown.update(f"{made:,} of {options.events:,} events made")

        search_store.fill(url, options.events, options.days, end_ns, show)
    out.print(f"{options.events:,} events made in {time.monotonic() - started:.0f} s")


def measure(out: Console, url: str, options: argparse.Namespace) -> None:
    engine = open_engine(url)
    out.rule("SQLite" if is_sqlite(engine) else "PostgreSQL")
    out.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    index(out, engine)
    search(out, url, engine, options.values)
    collect(out, url, engine, options.pages)
    engine.dispose()


def index(out: Console, engine: Engine) -> None:
    waiting = status(engine).not_indexed
    started, cpu = time.monotonic(), time.process_time()
    added = 0
    with out.status("indexing") as shown:
        while (number := index_batch(engine)) is not None:
            added += number
            shown.update(f"{added:,} of {waiting:,} indexed")
    seconds = time.monotonic() - started
    if added:
        rate = f"{added / seconds:,.0f} a second"
        out.print(
            f"{added:,} events indexed in {seconds:.0f} s: {rate}, {(time.process_time() - cpu):.0f} s of CPU here"
        )
    sizes = table_sizes(engine)
    own = sum(size for name, size in sizes.items() if name.startswith(("event_index", "index_", "user_names")))
    events = sum(size for name, size in sizes.items() if name.startswith(("events", "sqlite_autoindex_events")))
    with engine.connect() as connection:
        number = connection.execute(text("SELECT count(*) FROM event_index")).scalar_one()
    out.print(
        f"the index has {own / 1e9:.2f} GB, {own / max(number, 1):.0f} bytes an event; "
        f"the events have {events / 1e9:.2f} GB"
    )


def table_sizes(engine: Engine) -> dict[str, int]:
    """Bytes by table; on SQLite, by table and index (`events_by_time` counts as events)."""
    query = (
        f"SELECT name, pageno * {PAGE_BYTES} FROM dbstat WHERE aggregate = TRUE"  # pgsize has 32 bits
        if is_sqlite(engine)
        else "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
        "'public'::regnamespace"
    )
    with engine.connect() as connection:
        return {name: int(size) for name, size in connection.execute(text(query))}


def collect(out: Console, url: str, engine: Engine, number: int) -> None:
    table = Table("collection", "without an indexer", "with one", "more", box=box.SIMPLE_HEAD, title="seconds a page")
    claim = acquire(engine)
    for name, pace in (("as fast as possible", 0.0), ("a page every 0.2 s", PACE_SECONDS)):
        alone, beside = [], []
        for turn in range(4):  # in turns, because the machine is not always as fast
            with indexer(url) if turn % 2 else nothing():
                (beside if turn % 2 else alone).extend(commit(engine, claim, number // 2, pace))
            drain(engine)
        rest, busy = sum(alone) / len(alone), sum(beside) / len(beside)
        table.add_row(name, f"{rest:.4f}", f"{busy:.4f}", f"{busy / rest - 1:+.0%}")
    out.print(table)


def acquire(engine: Engine) -> StreamClaim:
    view = streams.of_source(engine, SOURCES[0].id, (Api.AUDIT,))[0]
    claim = streams.acquire(engine, view, "benchmark", by_force=True)
    assert claim
    return claim


def commit(engine: Engine, claim: StreamClaim, number: int, pace: float) -> list[float]:
    """Seconds of each commit."""
    seconds = []
    for _ in range(number):
        page, cursor = fresh_page(engine, claim)
        prepared = pages.prepare(page, Api.AUDIT, "v2")
        started = time.perf_counter()
        pages.commit_prepared(engine, claim, prepared, after=cursor)
        seconds.append(time.perf_counter() - started)
        time.sleep(pace)
    return seconds


@cache
def population() -> search_store.Population:
    return search_store.Population()


def fresh_page(engine: Engine, claim: StreamClaim) -> tuple[Page, str | None]:
    cursor = streams.get(engine, claim.stream_id).cursor
    own, now_ns = Random(time.perf_counter_ns()), clock.now_ns() // 10**6 * 10**6  # noqa: S311 - made-up data
    people = population()
    template = search_store._template(Api.AUDIT, own.randrange(search_store.TEMPLATES))
    events = []
    for n in range(1000):
        uuid = f"{own.getrandbits(120):030X}"
        events.append(Event(uuid, now_ns + n, search_store._body(template, people, uuid, now_ns + n)))
    return Page(f"{own.getrandbits(60):x}", has_more=False, events=events, invalid_items=[]), cursor


@contextmanager
def indexer(url: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", INDEXER, url])
    time.sleep(2)  # until it has started
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def nothing() -> Iterator[None]:
    yield


def drain(engine: Engine) -> None:
    while index_batch(engine) is not None:
        pass


def search(out: Console, url: str, engine: Engine, number: int) -> None:
    ends = counts.span(engine)
    assert ends
    newest_ns = ends[1] + 1
    table = Table("time and", *SPANS, box=box.SIMPLE_HEAD, title="ms to 50 rows: median / slowest, new | warm")
    for member in MEMBERS:
        values = sample(engine, member, number)
        cells = []
        for span in SPANS.values():
            found = SearchTimes()
            for value in values:
                query = SearchQuery(**since(newest_ns, span), members={member: (value,)})
                timed(url, found, lambda reader, query=query: results.search(reader, query))
            cells.append(shown(found))
        table.add_row(member, *cells)
    out.print(table)
    others(out, url, newest_ns)


def others(out: Console, url: str, newest_ns: int) -> None:
    day, week = since(newest_ns, DAY_NS), since(newest_ns, 7 * DAY_NS)
    month = SearchQuery(newest_ns - 30 * DAY_NS, newest_ns)
    table = Table("", "ms, new | warm", box=box.SIMPLE_HEAD)
    searches: dict[str, Callable[[Engine], Any]] = {
        "text that no event has, within a day": lambda r: results.search(
            r, SearchQuery(**day, text="zqzq"), seconds=60
        ),
        "text in every tenth event, within a day": lambda r: results.search(
            r, SearchQuery(**day, text="totp"), seconds=60
        ),
        "failed sign-ins, within a week": lambda r: results.search(r, SearchQuery(**week, failed=True)),
        "two rare values that no event has both of": lambda r: results.search(
            r, SearchQuery(members={"user": ("person4999@example.org",), "action": ("export",)}), seconds=60
        ),
        "histogram of 30 days": lambda r: counts.histogram(r, month, DAY_NS // 2, seconds=60),
        "most frequent values of 30 days": lambda r: counts.frequent_values(r, month, seconds=60),
    }
    for name, act in searches.items():
        found = SearchTimes()
        for _ in range(3):
            timed(url, found, act)
        table.add_row(name, f"{median(found.new):.0f} | {median(found.warm):.0f}")
    out.print(table)


def since(newest_ns: int, span: int | None) -> dict[str, int]:
    return {} if span is None else {"since_ns": newest_ns - span}


def sample(engine: Engine, member: str, number: int) -> list[str]:
    """Values as often as events have them."""
    column = "user_id" if member == "person" else f"{member}_id"
    own = Random(5)  # noqa: S311 - made-up data
    values: list[str] = []
    with engine.connect() as connection:
        last = connection.execute(text("SELECT max(event_id) FROM event_index")).scalar_one()
        query = text(
            f"SELECT v.value FROM event_index i JOIN index_values v ON v.id = i.{column} "
            f"WHERE i.event_id >= :id AND i.{column} IS NOT NULL ORDER BY i.event_id LIMIT 1"
        )
        while len(values) < number:
            values += connection.execute(query, {"id": own.randrange(last)}).scalars().all()
    return values[:number]


def timed(url: str, found: SearchTimes, act: Callable[[Engine], Any]) -> None:
    reader = open_reader(url)
    for times in (found.new, found.warm):
        started = time.perf_counter()
        act(reader)
        times.append((time.perf_counter() - started) * 1000)
    reader.dispose()


def shown(found: SearchTimes) -> str:
    new, warm = found.new, found.warm
    return f"{median(new):.0f} / {max(new):.0f} | {median(warm):.0f} / {max(warm):.0f}"


if __name__ == "__main__":
    tempfile.tempdir = os.environ.get("SEARCH_BENCH_DIRECTORY", tempfile.gettempdir())
    main()
