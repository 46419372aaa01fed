"""Inspect a store without changing it, in bounded time, however large it is."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import make_url, text

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store.engine import open_engine, reading, sqlite_path, store_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

LOCK_SECONDS = 2.0  # wait for another writer, whose pages take milliseconds
CHECK_SECONDS = 3.0  # enough for about a gigabyte in memory; of a larger store only a part is checked
ANSWER_SECONDS = 5
_LARGE = (  # checked last
    "events",
    "event_index",
    "index_values",
    "pruned_events",
    "quarantine",
    "legible_bodies",
    "health_events",
)
_SOURCES = "SELECT name, base_url, account_uuid FROM sources"
_NEWEST = "SELECT max(length(body)) FROM (SELECT body FROM events ORDER BY id DESC LIMIT 1000) newest"
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOW_BYTE = 0xFF


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """The address and account of a source, as its store records them."""

    name: str
    base_url: str
    account_uuid: str | None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The result of an inspection: `version` is the version of the schema, None if the tables do not exist.

    `refusal` is the reason why nothing can be written, and `damage` describes what is broken; both are empty if there
    is no problem. `busy`: another process was writing for longer than `LOCK_SECONDS`. `checked` is how much was
    searched for damage.
    """

    where: str
    version: str | None = None
    refusal: str = ""
    busy: bool = False
    damage: str = ""
    checked: str = ""


def inspect(url: str) -> StoreFacts:
    """Inspect the store at `url`.

    Raises ThirdPartyConfigError if it does not exist, and FirstPartyGenericError if it cannot be opened or read.
    """
    path = sqlite_path(url)
    return _facts_of_postgresql(url) if path is None else _facts_of_sqlite(path)


def source_addresses(url: str) -> tuple[SourceAddress, ...]:
    """The sources in the store at `url`. Raises as `inspect` does, and if the tables do not exist."""
    path = sqlite_path(url)
    if path is None:
        with _postgresql(url) as connection:
            return tuple(SourceAddress(*row) for row in connection.execute(text(_SOURCES)))
    with _sqlite(path) as database:
        try:
            return tuple(SourceAddress(*row) for row in database.execute(_SOURCES))
        except sqlite3.Error as error:
            raise _unreadable(path, error) from None


def _facts_of_sqlite(path: str) -> StoreFacts:
    with _sqlite(path) as database:
        try:
            version = _version_in_sqlite(database)
            damage, checked = _check_sqlite(database)
        except sqlite3.Error as error:
            if _is_damage(error):
                return StoreFacts(path, damage=str(error))
            raise _unreadable(path, error) from None
        refusal, busy = _attempt_write(database, has_tables=version is not None)
    return StoreFacts(path, version, refusal, busy, damage, checked)


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    if not Path(path).exists():
        raise ThirdPartyConfigError(
            f"There is no store yet at {path}.",
            hint="`onepassword-source apply FILE` creates it. If it is elsewhere, set ONEPASSWORD_SOURCE_DATABASE_URL.",
            code="no-store",
        )
    try:  # mode=rw: an inspection never creates the file
        opened = sqlite3.connect(
            f"file:{quote(path)}?mode=rw",
            uri=True,
            timeout=LOCK_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise _unreadable(path, error) from None
    with closing(opened) as database:
        yield database


def _version_in_sqlite(database: sqlite3.Connection) -> str | None:
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'").fetchone():
        return None
    row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _check_sqlite(database: sqlite3.Connection) -> tuple[str, str]:
    """The damage, and how much was checked. The small tables come first."""
    names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    tables = sorted((str(name) for (name,) in names), key=lambda name: (name in _LARGE, name == "events", name))
    timed_out = threading.Event()
    timer = threading.Timer(CHECK_SECONDS, _interrupt, (database, timed_out))
    timer.daemon = True
    timer.start()
    try:
        for table in tables:
            if damage := _damage_of(database, table):
                return f"{table}: {damage}", ""
    except sqlite3.OperationalError:
        if not timed_out.is_set():
            raise
        database.execute(_NEWEST).fetchone()
        return "", f"checked for {CHECK_SECONDS:.0f} s, and the newest 1,000 events read"
    finally:
        timer.cancel()
    return "", "no damage"


def _interrupt(database: sqlite3.Connection, timed_out: threading.Event) -> None:
    timed_out.set()
    database.interrupt()


def _damage_of(database: sqlite3.Connection, table: str) -> str:
    quoted = table.replace('"', '""')
    result = str(database.execute(f'PRAGMA quick_check("{quoted}")').fetchone()[0])
    return "" if result == "ok" else " ".join(result.split())


def _attempt_write(database: sqlite3.Connection, *, has_tables: bool) -> tuple[str, bool]:
    try:
        database.execute("BEGIN IMMEDIATE")
        if has_tables:  # on a read-only file, BEGIN IMMEDIATE succeeds and begins a transaction that only reads
            database.execute("DELETE FROM alembic_version WHERE 0")
        database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if (error.sqlite_errorcode & _LOW_BYTE) == sqlite3.SQLITE_BUSY:
            return "", True
        return str(error), False
    return "", False


def _is_damage(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & _LOW_BYTE) in _CORRUPT


def _unreadable(path: str, error: sqlite3.Error) -> FirstPartyGenericError:
    return FirstPartyGenericError(
        f"The store {path} cannot be opened: {error}.",
        hint="Check that you can write the file and its directory: SQLite creates two more files beside it.",
        code="store",
    )


def _facts_of_postgresql(url: str) -> StoreFacts:
    parsed = make_url(url)
    where = f"PostgreSQL {parsed.host or 'on this machine'}/{parsed.database or ''}"
    with _postgresql(url) as connection:
        query: Callable[[str], Any] = lambda statement: connection.execute(text(statement)).scalar()  # noqa: E731
        if not query("SELECT to_regclass('alembic_version')"):
            return StoreFacts(where)
        version = query("SELECT version_num FROM alembic_version")
        query(_NEWEST)
        failures = query("SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()")
        damage = f"PostgreSQL counts {failures} pages with a wrong checksum" if failures else ""
        return StoreFacts(
            where, version, _refusal_of_postgresql(query), damage=damage, checked="the newest events were read"
        )


@contextmanager
def _postgresql(url: str) -> Iterator[Connection]:
    engine = open_engine(url)
    try:
        with store_errors(), reading(engine).connect() as connection:
            connection.execute(text(f"SET statement_timeout = '{ANSWER_SECONDS}s'"))
            yield connection
    finally:
        engine.dispose()


def _refusal_of_postgresql(query: Callable[[str], Any]) -> str:
    if query("SELECT pg_is_in_recovery()"):
        return "the server is a standby, which rejects writes"
    if query("SELECT current_setting('transaction_read_only')") == "on":
        return "its transactions are read-only"
    for table, privilege in (("events", "INSERT"), ("streams", "UPDATE"), ("sources", "UPDATE")):
        if not query(f"SELECT has_table_privilege('{table}', '{privilege}')"):
            return f"the user has no {privilege} privilege on {table}"
    return ""
