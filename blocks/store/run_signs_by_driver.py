"""Judge the runs of all sources with the database's own driver: `up` does so every 15 seconds and must stay small.

SQLAlchemy takes 20 MB and more, and is not needed to read two tables. A store that cannot be read in this plain way
(it is missing, does not answer, or has another version) is left to `blocks.store.run_health`, which reports why.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from blocks import clock
from blocks.liveness import judge
from blocks.store.run_sign_queries import ALL, OPEN, differs, signs_of, values_of
from blocks.store.schema_version import HEAD

if TYPE_CHECKING:
    from blocks.liveness import Judgement

    Tables = tuple[list[Any], list[Any]]

VERSION = "SELECT version_num FROM alembic_version"
SQLITE_SECONDS, POSTGRESQL_SECONDS, GONE_MILLISECONDS = 10.0, 5, 10_000
"""Limits for a lock, a connection, and a peer that is silently gone: each is below the watchdog's limit."""


def judge_if_unchanged(url: str, *, watched_ns: int | None = None) -> list[Judgement] | None:
    """The judgements of all sources if the store already has them; None if they must be written, or cannot be read.

    `watched_ns`: see `blocks.liveness.judge`.
    """
    found = _read(url)
    if found is None:
        return None
    (rows, opened), now_ns = found, clock.now_ns()
    judged, values = [judge(signs, now_ns, watched_ns=watched_ns) for signs in signs_of(rows)], values_of(opened)
    return None if any(differs(one, values) for one in judged) else judged


def count_sources(url: str) -> int | None:
    """The number of sources that are not deleted; None if the store cannot be read in this plain way."""
    found = _read(url)
    return None if found is None else len(signs_of(found[0]))


def _read(url: str) -> Tables | None:
    read = {"sqlite": _read_sqlite, "postgresql": _read_postgresql}.get(urlsplit(url).scheme)
    return read(url) if read else None


def _read_sqlite(url: str) -> Tables | None:
    path = unquote(urlsplit(url).path.removeprefix("/"))
    if not Path(path).exists():
        return [], []  # no source was applied yet
    try:
        address = f"{Path(path).absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, timeout=SQLITE_SECONDS, isolation_level=None, uri=True)) as connection:
            connection.execute("BEGIN")
            if connection.execute(VERSION).fetchone() != (HEAD,):
                return None
            return _named(connection.execute(ALL)), _named(connection.execute(OPEN))
    except sqlite3.Error:
        return None


def _read_postgresql(url: str) -> Tables | None:
    import psycopg  # noqa: PLC0415 - 12 MB that only a PostgreSQL store needs

    try:
        with psycopg.connect(url, connect_timeout=POSTGRESQL_SECONDS, tcp_user_timeout=GONE_MILLISECONDS) as connection:
            if connection.execute(VERSION.encode()).fetchone() != (HEAD,):
                return None
            return _named(connection.execute(ALL.encode())), _named(connection.execute(OPEN.encode()))
    except psycopg.Error:
        return None


def _named(cursor: Any) -> list[Any]:
    names = [column[0] for column in cursor.description]
    return [SimpleNamespace(**dict(zip(names, values, strict=True))) for values in cursor]
