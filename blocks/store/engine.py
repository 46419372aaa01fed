"""Engines for the store's database: SQLite in WAL mode, or PostgreSQL, with the settings that the invariants need."""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from blocks.cpu_lock import cpu_lock
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import URL, Connection, TextClause

BUSY_SECONDS = 60  # how long SQLite waits for another writer, unless the URL sets it (…/events.db?timeout=5)
PAGE_BYTES = 8192  # for a new file: 10 to 25 % faster than 4096 at 1 to 3 million events, and smaller
CACHE_KIB = 65536  # SQLite's page cache: it holds the index on random ids up to about a million events
SMALL_CACHE_KIB = 8192
READERS = 6  # connections of a reader on SQLite: more queries at once wait for the others
READER_CACHE_KIB = 16384  # of each of them
ROWS_MAX = 200  # the most rows in one fetch: they may be longer than expected
CHECKPOINT_PAGES = 16384  # 128 MiB of WAL between checkpoints: an index page is often rewritten before the next one
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 30, 10, 9
"""The TCP keepalive settings of a connection to PostgreSQL: a silent peer counts as gone after two minutes, which is
less than a claim lasts."""
TCP_TIMEOUT_MILLISECONDS = (KEEPALIVE_IDLE_SECONDS + KEEPALIVE_INTERVAL_SECONDS * KEEPALIVE_COUNT) * 1000
_SERVER_KEEPALIVE = {
    "tcp_keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "tcp_keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
    "tcp_keepalives_count": KEEPALIVE_COUNT,
    "tcp_user_timeout": TCP_TIMEOUT_MILLISECONDS,
}
_READS = "onepassword_source_reads"


def open_engine(url: str) -> Engine:
    """An engine for the store at `url`. It does not connect yet; on SQLite, an empty file is created.

    On SQLite the engine has one connection: the threads of a process queue for it, which is faster than SQLite's
    sleep and retry. Raises ThirdPartyConfigError if the URL is not one of SQLite or PostgreSQL.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # parameters are personal data, and errors are logged
        pool_pre_ping=True,
        use_native_hstore=False,  # no column has this type, which would be looked up in each new process
        # Without the encoding, psycopg reads the text of a database in SQL_ASCII as bytes, and SQLAlchemy fails on it.
        connect_args={"connect_timeout": 10, "client_encoding": "utf8", **_keepalive_arguments(parsed)},
    )
    event.listen(engine, "connect", _require_utf8)
    event.listen(engine, "connect", _set_server_keepalive)
    return engine


def open_reader(url: str) -> Engine:
    """An engine with several connections that cannot write, for a process with many queries at once.

    On SQLite, readers do not wait for a writer or for each other. Raises as `open_engine` does.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(
            parsed, connections=READERS, pragmas=(*_PRAGMAS, f"cache_size=-{READER_CACHE_KIB}", "query_only=ON")
        ).execution_options(**{_READS: True})
    engine = open_engine(url)
    event.listen(engine, "connect", _forbid_writing)
    return engine


@contextmanager
def opened_engine(url: str) -> Iterator[Engine]:
    """As `open_engine`, with its connections closed at the end."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read (on SQLite they take no write lock)."""
    return engine.execution_options(**{_READS: True})


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes. Raises FirstPartyGenericError if the database rejects it."""
    with store_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def store_errors() -> Iterator[None]:
    """Map the database's errors to FirstPartyGenericError, without the rows that they quote (personal data)."""
    try:
        yield
    except SQLAlchemyError as error:
        raise FirstPartyGenericError(
            f"The store did not answer: {_first_line(error)}.",
            hint="What was committed stays. The run continues from there when the store is available again.",
            code="store",
        ) from None


@contextmanager
def consequence(text: str, hint: str) -> Iterator[None]:
    """Add to an error of the database what it means for the data of this work, and what to do."""
    try:
        yield
    except FirstPartyGenericError as error:
        if error.code != "store":
            raise
        raise FirstPartyGenericError(f"{error.message} {text}", hint=hint, code="transfer") from None


def advisory_lock(connection: Connection, name: str) -> None:
    """Take the lock of this name until the transaction ends; wait while another transaction has it.

    Take it before you read rows that other transactions write, if you decide by them: a statement sees only what was
    committed before it began. SQLite allows one writer at a time, so no lock is needed there.
    """
    if not is_sqlite(connection.engine):
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def first_rows(
    connection: Connection, query: TextClause, parameters: Mapping[str, Any], octets: int, mean: int
) -> tuple[list[Any], bool]:
    """The first rows, until their last columns have `octets` characters, and whether these are all rows.

    The rows are the driver's own: SQLAlchemy's would double the time. `mean`, the expected length of a last column,
    sets how many rows are fetched at once: on PostgreSQL the others wait behind a server-side cursor, and SQLite has
    not searched for them yet. Raises SQLAlchemyError.
    """
    driver: Any = connection.dialect.loaded_dbapi
    try:
        if is_sqlite(connection.engine):
            result = connection.execute(query, parameters)
            # The lock is safe here: SQLite reads a local file, so no thread holds it while it waits for a server.
            with closing(result), cpu_lock:
                return _fetch_first(result.cursor, octets, mean)
        driver_connection: Any = connection.connection.driver_connection
        with driver_connection.cursor("first_rows") as cursor:
            cursor.execute(str(query.compile(dialect=connection.dialect)), parameters)
            return _fetch_first(cursor, octets, mean)
    except driver.Error as error:
        raise DBAPIError(None, None, error) from None


def _fetch_first(cursor: Any, octets: int, mean: int) -> tuple[list[Any], bool]:
    rows: list[Any] = []
    while octets > 0:
        number = min(max(octets // max(mean, 1), 1), ROWS_MAX)
        more = cursor.fetchmany(number)
        rows += more
        octets -= sum([len(row[-1]) for row in more])
        if len(more) < number:
            return rows, True
    return rows, False


def use_small_cache(engine: Engine) -> None:
    """Let SQLite cache few pages: a process that reads each page once, in order, gains nothing from a large cache."""
    if is_sqlite(engine):
        event.listen(engine, "connect", _shrink_cache)
        with store_errors(), reading(engine).connect() as connection:
            connection.exec_driver_sql(f"PRAGMA cache_size=-{SMALL_CACHE_KIB}")


def is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def sqlite_path(url: str) -> str | None:
    """The file of an SQLite URL, or None for any other database."""
    parsed = _parse(url)
    return parsed.database if parsed.get_backend_name() == "sqlite" else None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
        raise ThirdPartyConfigError(
            "The database URL is neither sqlite:///path/to/events.db nor postgresql://user:password@host/database.",
            hint="Set ONEPASSWORD_SOURCE_DATABASE_URL to one of these.",
            code="database-url",
        )
    return parsed


def _keepalive_arguments(url: URL) -> dict[str, int]:
    """Connection arguments that end a connection whose server is gone silently. Values in the URL take precedence."""
    ours = {
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": TCP_TIMEOUT_MILLISECONDS,
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def _require_utf8(connection: Any, _record: object) -> None:
    """Raise ThirdPartyConfigError for a database that does not know which of its bytes are letters.

    It would compare and search names in another way than the program does.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise ThirdPartyConfigError(
            f"The store's database has the encoding {encoding}, and it must be UTF8. Nothing was written into it.",
            hint="Create another database for the store: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
            code="encoding",
        )


def _set_server_keepalive(connection: Any, _record: object) -> None:
    """The same for the server, which otherwise keeps the locks of a machine that lost its network for two hours."""
    # An older server does not have all settings. To ask for one takes a third of the time of a look at pg_settings.
    query = "SELECT set_config(key, value, false) FROM json_each_text(%s) WHERE current_setting(key, true) IS NOT NULL"
    import psycopg  # noqa: PLC0415 - a connection exists, so it is imported

    with suppress(psycopg.Error):  # if the connection is broken, its next use raises the error
        connection.execute(query, [json.dumps(_SERVER_KEEPALIVE)])
        connection.commit()


_PRAGMAS = (
    f"page_size={PAGE_BYTES}",  # first: it has no effect once the file has content
    "journal_mode=WAL",
    # A power cut can undo the last commits, never a part of one: cursor and events are undone together.
    "synchronous=NORMAL",
    f"cache_size=-{CACHE_KIB}",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    "foreign_keys=ON",
    "temp_store=MEMORY",
)


def _open_sqlite(url: URL, *, connections: int = 1, pragmas: tuple[str, ...] = _PRAGMAS) -> Engine:
    if url.database and url.database != ":memory:":
        _create_private(url.database)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"check_same_thread": False, **({} if "timeout" in url.query else {"timeout": BUSY_SECONDS})},
    )
    event.listen(engine, "connect", partial(_set_pragmas, pragmas))
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: str) -> None:
    """Only the owner can read the file. SQLite gives its -wal and -shm files the same mode.

    A file that exists is never opened here. Closing a descriptor drops all locks that this process has on the file,
    those of SQLite, too. Another process that ends then takes itself for the last one, and removes the log in use.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        _require_writable(path)
    except OSError as error:
        raise FirstPartyGenericError(
            f"The store {path} cannot be opened: {error.strerror}.",
            hint="Check the directory and its permissions, or set ONEPASSWORD_SOURCE_DATABASE_URL.",
            code="store",
        ) from error


def _require_writable(path: str) -> None:
    if not os.access(path, os.R_OK | os.W_OK) or Path(path).is_dir():
        raise FirstPartyGenericError(
            f"The store {path} cannot be opened: it is a directory, or this user may not read and write it.",
            hint="Check the directory and its permissions, or set ONEPASSWORD_SOURCE_DATABASE_URL.",
            code="store",
        )


def _set_pragmas(pragmas: tuple[str, ...], connection: Any, _record: object) -> None:
    connection.isolation_level = None  # _begin begins the transactions, not the driver
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _forbid_writing(connection: Any, _record: object) -> None:
    connection.execute("SET default_transaction_read_only = on")
    connection.commit()


def _shrink_cache(connection: Any, _record: object) -> None:
    connection.execute(f"PRAGMA cache_size=-{SMALL_CACHE_KIB}")


def _begin(connection: Connection) -> None:
    # On SQLite, a transaction that reads before it writes fails at once if another one writes. One that begins
    # as a writer waits.
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _first_line(error: SQLAlchemyError) -> str:
    """The start of the database's message. Its further lines, and a "with text" part, can quote personal data."""
    original = getattr(error, "orig", None)
    lines = str(original or error).strip().splitlines() or [type(error).__name__]
    return lines[0].partition(" with text ")[0].rstrip(".")[:200]
