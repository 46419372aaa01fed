"""Reads rows of a table in the order of its key, and writes them to another database, past SQLAlchemy for speed."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from blocks.store.transfer.table_layout import TableLayout

FETCH = 2000

Rows = list[tuple[Any, ...]]


def read(connection: Connection, table: TableLayout, after: Sequence[Any] | None = None) -> Iterator[Rows]:
    """The rows behind a key, or all of them, a few thousand at a time."""
    driver: Any = connection.connection.driver_connection
    is_sqlite = connection.dialect.name == "sqlite"
    marks = ", ".join(["?" if is_sqlite else "%s"] * len(table.key))
    where = f" WHERE ({table.key_list()}) > ({marks})" if after else ""
    query = f'SELECT {table.column_list()} FROM "{table.name}"{where} ORDER BY {table.key_list()}'
    # PostgreSQL keeps the rows behind a cursor of the server, SQLite has not searched for them yet.
    with driver_errors(), closing(driver.cursor() if is_sqlite else driver.cursor("rows")) as cursor:
        cursor.execute(query, tuple(after or ()))
        while found := cursor.fetchmany(FETCH):
            yield found


def count_to(connection: Connection, table: TableLayout, last: Sequence[Any]) -> int:
    """The number of rows up to a key."""
    driver: Any = connection.connection.driver_connection
    marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * len(table.key))
    query = f'SELECT count(*) FROM "{table.name}" WHERE ({table.key_list()}) <= ({marks})'
    with driver_errors(), closing(driver.cursor()) as cursor:
        cursor.execute(query, tuple(last))
        return int(cursor.fetchone()[0])


def write(connection: Connection, table: TableLayout, batches: Iterable[Rows]) -> int:
    """Write rows in the current transaction. Returns how many there were."""
    driver: Any = connection.connection.driver_connection
    with driver_errors(), closing(driver.cursor()) as cursor:
        if connection.dialect.name == "sqlite":
            return _insert(cursor, table, batches)
        number = 0
        with cursor.copy(_copy_statement(table)) as copy:
            for batch in batches:
                for row in batch:
                    copy.write_row(row)
                number += len(batch)
        return number


def write_text(connection: Connection, table: TableLayout, blocks: Iterable[bytes]) -> None:
    """Write rows in the text format of COPY to PostgreSQL, in the current transaction."""
    driver: Any = connection.connection.driver_connection
    with driver_errors(), closing(driver.cursor()) as cursor, cursor.copy(_copy_statement(table)) as copy:
        for block in blocks:
            copy.write(block)


def _copy_statement(table: TableLayout) -> bytes:
    return f'COPY "{table.name}" ({table.column_list()}) FROM STDIN'.encode()


def _insert(cursor: sqlite3.Cursor, table: TableLayout, batches: Iterable[Rows]) -> int:
    marks = ", ".join("?" * len(table.columns))
    statement = f'INSERT INTO "{table.name}" ({table.column_list()}) VALUES ({marks})'
    number = 0
    for batch in batches:
        cursor.executemany(statement, batch)
        number += len(batch)
    return number


@contextmanager
def driver_errors() -> Iterator[None]:
    """Map the errors of both drivers. Their further lines can quote rows, which are personal data."""
    import psycopg  # noqa: PLC0415 - 0.1 s that most commands do not need

    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FirstPartyGenericError(
            f"A database refused a row or did not answer: {first.rstrip('.')}.",
            hint="The store that is copied is not affected. Remove the cause, and run the command again.",
            code="transfer",
        ) from None
