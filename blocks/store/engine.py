"""Opening the store's database: SQLite in WAL mode, or PostgreSQL, with the settings that the invariants need."""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from blocks.cpu_lock import cpu_lock
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import URL, Connection, TextClause

BUSY_SECONDS = 60  # how long SQLite waits for another writer, where the URL does not say (…/events.db?timeout=5)
PAGE_BYTES = 8192  # for a new file: a tenth to a quarter faster than 4096 at 1 to 3 million events, and smaller
CACHE_KIB = 65536  # SQLite's page cache: it holds the index on random ids up to about a million events
SMALL_CACHE_KIB = 8192
ROWS_MAX = 200  # rows that are fetched at once, whatever their expected length: these may be longer
CHECKPOINT_PAGES = 16384  # 128 MiB of WAL between checkpoints: an index page is often written again before one
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 30, 10, 9
"""When the other end of a connection to PostgreSQL is tested, how often again, and after how many silent tests it
counts as gone: two minutes, which is less than a claim lasts."""
TCP_TIMEOUT_MILLISECONDS = (KEEPALIVE_IDLE_SECONDS + KEEPALIVE_INTERVAL_SECONDS * KEEPALIVE_COUNT) * 1000
_READS = "onepassword_source_reads"


def open_engine(url: str) -> Engine:
    """An engine for the store at `url`; nothing is created or asked yet.

    On SQLite it holds one connection, so that the threads of a process wait for each other in line
    instead of by SQLite's sleeping; `reading(engine)` has connections beside it.
    Raises ThirdPartyConfigError for a URL that no database of ours has.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # parameters are personal data, and errors are logged
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, **_notices_silence(parsed)},
    )
    event.listen(engine, "connect", _have_server_notice_silence)
    return engine


def reading(engine: Engine) -> Engine:
    """The same database for transactions that only read (on SQLite they take no write lock)."""
    return engine.execution_options(**{_READS: True})


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes; FirstPartyGenericError where the database does not let it."""
    with store_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the database's errors into FirstPartyGenericError, without the rows that they would quote."""
    try:
        yield
    except SQLAlchemyError as error:
        raise FirstPartyGenericError(
            f"The store did not answer: {_first_line(error)}.",
            hint="What was committed stays, and the run goes on from there when the store is back.",
            code="store",
        ) from None


def advisory_lock(connection: Connection, name: str) -> None:
    """Wait until no other transaction has come here with this name, and have those that come wait until this one ends.

    To be called before what is judged is asked, where several write that: a statement sees what was committed before
    it began. On SQLite there is one writer anyway.
    """
    if not is_sqlite(connection.engine):
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def first_rows(
    connection: Connection, query: TextClause, parameters: Mapping[str, Any], octets: int, mean: int
) -> tuple[list[Any], bool]:
    """The first rows as the driver has them, until their last columns have `octets` characters; whether these are all.

    SQLAlchemy's rows take as long as all the rest. What is read at once follows from `mean`, the expected length of a
    last column: PostgreSQL keeps the other rows behind a cursor of its own, SQLite has not looked for them yet. Raises
    SQLAlchemyError.
    """
    driver: Any = connection.dialect.loaded_dbapi
    try:
        if is_sqlite(connection.engine):
            found = connection.execute(query, parameters)
            # Nobody waits for a server within it.
            with closing(found), cpu_lock:
                return _first(found.cursor, octets, mean)
        plain: Any = connection.connection.driver_connection
        with plain.cursor("first_rows") as cursor:
            cursor.execute(str(query.compile(dialect=connection.dialect)), parameters)
            return _first(cursor, octets, mean)
    except driver.Error as error:
        raise DBAPIError(None, None, error) from None


def _first(cursor: Any, octets: int, mean: int) -> tuple[list[Any], bool]:
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
    """Let SQLite keep few pages, for a process that reads each of them once, in order: it gains nothing by more."""
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


def _notices_silence(url: URL) -> dict[str, int]:
    """Have this end give a connection up whose other end is gone without a word; what the URL says goes first."""
    ours = {
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": TCP_TIMEOUT_MILLISECONDS,
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def _have_server_notice_silence(connection: Any, _record: object) -> None:
    """The same for the server's end: it would keep the locks of a machine that was cut off for two hours."""
    wanted = {
        "tcp_keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "tcp_keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "tcp_keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": TCP_TIMEOUT_MILLISECONDS,
    }
    # By way of the settings that there are: an older server has not all of them.
    known = "SELECT set_config(name, %(wanted)s::json ->> name, false) FROM pg_settings WHERE name = ANY(%(names)s)"
    import psycopg  # noqa: PLC0415 - a connection exists, so it is imported

    with suppress(psycopg.Error):  # a connection that has broken meanwhile says so when it is used
        connection.execute(known, {"wanted": json.dumps(wanted), "names": [*wanted]})
        connection.commit()


def _open_sqlite(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        _create_private(url.database)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"check_same_thread": False, **({} if "timeout" in url.query else {"timeout": BUSY_SECONDS})},
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: str) -> None:
    """SQLite gives its -wal and -shm files the mode of the database file."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise FirstPartyGenericError(
            f"The store {path} cannot be opened: {error.strerror}.",
            hint="Check the directory and its rights, or set ONEPASSWORD_SOURCE_DATABASE_URL.",
            code="store",
        ) from error


def _set_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, see _begin
    cursor = connection.cursor()
    for pragma in (
        f"page_size={PAGE_BYTES}",  # before anything makes the file
        "journal_mode=WAL",
        # A power cut may take back the last commits, never part of one; cursor and events go back together.
        "synchronous=NORMAL",
        f"cache_size=-{CACHE_KIB}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _shrink_cache(connection: Any, _record: object) -> None:
    connection.execute(f"PRAGMA cache_size=-{SMALL_CACHE_KIB}")


def _begin(connection: Connection) -> None:
    # A transaction that reads before it writes cannot wait for its turn on SQLite; one that starts as a writer can.
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _first_line(error: SQLAlchemyError) -> str:
    """The database's own sentence. Its DETAIL lines, or the end of one, can quote a row, which is personal data."""
    original = getattr(error, "orig", None)
    lines = str(original or error).strip().splitlines() or [type(error).__name__]
    return lines[0].partition(" with text ")[0].rstrip(".")[:200]
