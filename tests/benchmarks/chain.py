"""What the hash chain and the counts by the hour cost: with them and without, in one run.

Write path: pages of a thousand events, made beforehand, are prepared and committed by `pages`, one with everything, one
without the chain, one without the counts either, and so on in changing order. Collection: the same with pages read
from a sandbox by the client, the next one while one is written, as a run does (without Prefect), in turns of ten.
Each way has a stream of its own in one store. "Without" is made here: what the chain needs of a page (its links, the
digests of bodies, the ids of what was stored) is replaced while the benchmark runs. Then `verify` walks the chain.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from collect import KINDS, console, own_directories
from databases import SOURCE, Databases, prepare
from rich import box
from rich.console import Console
from rich.table import Table

from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api, read_page
from blocks.store import insert, pages, streams
from blocks.store.engine import is_sqlite, open_engine
from blocks.store.insert import InsertedEvents
from blocks.store.integrity import verification
from deployments.sandbox.computed_history import BLOCK, ComputedHistory
from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import ArrivalPace
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from blocks.events_api.models import Event, Page
    from blocks.store.pages import PreparedPage
    from blocks.store.streams import StreamClaim
    from deployments.sandbox.process import SandboxProcess

WITH, NO_CHAIN, NEITHER = WAYS = ("as it is", "no chain", "no chain, no hours")
WRITE, COLLECT = "write path", "collection"
TURN = 10  # pages
DAYS = 7.0


@dataclass
class Took:
    """Seconds a page, by the wall and of CPU: this process's, and on PostgreSQL the server's for it."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    pages: int = 0

    @contextmanager
    def timed(self, server: int | None, pages: int = 1) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time() + _cpu(server)
        yield
        self.wall.append((time.perf_counter() - wall) / pages)
        self.cpu.append((time.process_time() + _cpu(server) - cpu) / pages)
        self.pages += pages

    @property
    def rate(self) -> float:
        return BLOCK / median(self.wall)

    @property
    def cpu_rate(self) -> float:
        return BLOCK / median(self.cpu)


@dataclass
class Result:
    database: str
    took: dict[str, dict[str, Took]]
    verified: int
    verify_seconds: float


def main() -> int:
    chosen = _parser().parse_args()
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        databases = Databases(stack)
        results = [_measure(databases, kind, chosen.pages) for kind in chosen.databases.split(",")]
    _show(results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200, help="of each way (%(default)s)")
    parser.add_argument("--databases", default=",".join(KINDS), help="sqlite, postgresql or both (%(default)s)")
    return parser


def _measure(databases: Databases, kind: str, count: int) -> Result:
    with databases.empty(kind) as url, console.status(f"The write path, {kind}"):
        prepare(url)
        engine = open_engine(url)
        store = _Store(engine)
        store.write(count)
        with running_sandbox(bulk=True, events=len(Api) * count * BLOCK, seed=2) as sandbox:
            store.collect(sandbox, count)
        started = time.perf_counter()
        found = verification.verify(engine, SOURCE.id, (next(iter(Api)),))[0]
        seconds = time.perf_counter() - started
        engine.dispose()
        if found.damaged or found.events != sum(took[WITH].pages for took in store.took.values()) * BLOCK:
            raise RuntimeError(f"The chain does not hold: {found}")
    return Result(kind, store.took, found.events, seconds)


class _Store:
    """A store with a stream for each way."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.server = _server(engine)
        self.took = {path: {way: Took() for way in WAYS} for path in (WRITE, COLLECT)}
        self._claims: dict[str, StreamClaim] = {}
        for way, view in zip(WAYS, streams.of_source(engine, SOURCE.id, tuple(Api)), strict=True):
            claim = streams.acquire(engine, view, "benchmark")
            assert claim
            self._claims[way] = claim
        self._cursors: dict[str, str | None] = dict.fromkeys(WAYS)

    def write(self, count: int) -> None:
        bulk = ComputedHistory(1, Api.AUDIT.path, ArrivalPace(count * len(WAYS) * BLOCK, time.time_ns(), DAYS, 0.0))
        for turn in range(count):
            made = [_page(bulk, turn * len(WAYS) + number) for number in range(len(WAYS))]
            for way, page in zip(_in_turn(turn), made, strict=True):
                with _ways(way), self.took[WRITE][way].timed(self.server):
                    self._commit(way, pages.prepare(page, self._claims[way].api, "v2"))

    def collect(self, sandbox: SandboxProcess, count: int) -> None:
        cursors: dict[str, str | None] = dict.fromkeys(WAYS)
        with EventsClient(sandbox.base_url, sandbox.token) as client:
            for turn in range(count // TURN):
                for way in _in_turn(turn):
                    with _ways(way), self.took[COLLECT][way].timed(self.server, TURN):
                        cursors[way] = self._drain(client, way, cursors[way])

    def _drain(self, client: EventsClient, way: str, cursor: str | None) -> str:
        """Read a turn of pages from the cursor on, and write each while the next is read; where it is then."""
        api = Api.AUDIT  # the same events for each way: those of another API are longer or shorter
        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(_prepared_page, client, api, cursor)
            for left in reversed(range(TURN)):
                prepared = waiting.result()
                if left:
                    waiting = reader.submit(_prepared_page, client, api, prepared.page.cursor)
                self._commit(way, prepared)
        return prepared.page.cursor

    def _commit(self, way: str, prepared: PreparedPage) -> None:
        pages.commit_prepared(self.engine, self._claims[way], prepared, after=self._cursors[way])
        self._cursors[way] = prepared.page.cursor


def _prepared_page(client: EventsClient, api: Api, cursor: str | None) -> PreparedPage:
    page = client.next_page(api, cursor) if cursor else client.first_page(api, 0)
    return pages.prepare(page, api, "v2")


def _in_turn(turn: int) -> tuple[str, ...]:
    return WAYS[turn % len(WAYS) :] + WAYS[: turn % len(WAYS)]


def _server(engine: Engine) -> int | None:
    """The process of PostgreSQL that serves this one; the pool gives out the same connection each time."""
    if is_sqlite(engine):
        return None
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() or 0)


def _cpu(pid: int | None) -> float:
    """CPU seconds of a process so far; psutil knows them to a hundredth only."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 if pid else 0.0


def _page(bulk: ComputedHistory, number: int) -> Page:
    found = bulk.read(CursorState(2, Api.AUDIT.path, number * BLOCK, BLOCK, 0), 0)
    content = b'{"cursor":"%d","has_more":true,"items":[' % number + b",".join(found.bodies) + b"]}"
    return replace(read_page(content, Api.AUDIT), unknown=())


@contextmanager
def _ways(way: str) -> Iterator[None]:
    with ExitStack() as stack:
        if way != WITH:
            no_chain = SimpleNamespace(body_digest=lambda _: b"", append=lambda *_: {})
            stack.enter_context(patch.object(pages, "chain", no_chain))
            stack.enter_context(patch.object(pages, "insert_events", _insert_events))
        if way == NEITHER:
            stack.enter_context(patch.object(pages, "hourly_counts", SimpleNamespace(increment=lambda *_: None)))
        yield


def _insert_events(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> InsertedEvents:
    """As `inserting.insert_events`, without telling which were stored and what their ids are."""
    if connection.dialect.name == "sqlite":
        values: list[Any] = [stream_id, received_ns]
        for event in events:
            values += event
        stored = connection.exec_driver_sql(insert._rows(len(events)), tuple(values))
    else:
        uuids, times, bodies = map(list, zip(*events, strict=True))
        page = {"stream": stream_id, "received": received_ns, "uuids": uuids, "times": times, "bodies": bodies}
        stored = connection.exec_driver_sql(_POSTGRESQL, page)
    return InsertedEvents(range(stored.rowcount))


_POSTGRESQL = (
    "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) "
    "SELECT %(stream)s::int, page.uuid, page.time_ns, %(received)s::bigint, page.body "
    "FROM unnest(%(uuids)b::text[], %(times)b::bigint[], %(bodies)b::text[]) AS page (uuid, time_ns, body) "
    "ON CONFLICT (stream_id, uuid) DO NOTHING"
)


def _show(results: list[Result]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_CAPTION, caption_justify="left")
    for heading in ("into", "path", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("events", "ms a page", "events/s", "ratio", "CPU ms", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        name = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[result.database]
        for path, ways in result.took.items():
            for way, took in ways.items():
                table.add_row(name, path, way, *_cells(took, ways[NO_CHAIN]))
        rate = result.verified / result.verify_seconds
        ratio = rate / result.took[COLLECT][WITH].rate
        table.add_row(name, "verify", "", f"{result.verified:,}", "", f"{rate:,.0f}", f"{ratio:.2f}", end_section=True)
    Console(width=110).print(table)


def _cells(took: Took, without: Took) -> tuple[str, ...]:
    wall, cpu = (f"{median(times) * 1000:.1f}" for times in (took.wall, took.cpu))
    ratios = (f"{one:.2f}" for one in (took.rate / without.rate, took.cpu_rate / without.cpu_rate))
    return f"{took.pages * BLOCK:,}", wall, f"{took.rate:,.0f}", next(ratios), cpu, next(ratios)


_CAPTION = """\
A page has a thousand events; medians. ratio: to the speed without the chain, by
the wall and by CPU (of this process and, on PostgreSQL, of the server's that
serves it), which other work on the machine changes less. Of verify: to
collection as it is."""


if __name__ == "__main__":
    sys.exit(main())
