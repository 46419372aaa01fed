"""Consistent copies of a store that is in use: a file of SQLite, or the rows of PostgreSQL as text."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from blocks.errors import FirstPartyGenericError
from blocks.store.engine import opened_engine, reading, store_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from blocks.store.transfer.table_layout import TableLayout

BUSY_SECONDS = 60.0
PAGES = 512  # of one step: 4 MiB
TEXT_BYTES = 16 * 2**20  # of one part of a table


def copy_file(path: str, target: Path, advance: Callable[[int], object] = lambda _: None) -> None:
    """Copy an SQLite store to `target` with SQLite's backup API, while others write to it.

    The copy is the store at one moment. Its source stays in one read transaction: writers do not wait for it, and it
    does not begin again when they commit. Meanwhile the write-ahead log of the store grows. `advance` is called with
    numbers of bytes. Raises FirstPartyGenericError if the disk is full or the store cannot be read.
    """
    try:
        with (
            closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as source,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            copy.execute("PRAGMA synchronous=OFF")  # the archive that it goes into is synced
            (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy, pages=PAGES, progress=_progress(page_bytes, advance), sleep=0)
            source.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise FirstPartyGenericError(
            f"The store {path} could not be copied: {error}. No backup was made; the store is not affected.",
            hint="Free space for the backup, or give it a path on another disk; `onepassword-source check NAME` checks "
            "the store.",
            code="backup-copy",
        ) from None


def _progress(page_bytes: int, advance: Callable[[int], object]) -> Callable[[int, int, int], None]:
    done = 0

    def progress(_status: int, remaining: int, total: int) -> None:
        nonlocal done
        advance((total - remaining - done) * page_bytes)
        done = total - remaining

    return progress


@contextmanager
def postgresql_snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees the store of one moment. Writers do not wait for it; VACUUM removes nothing meanwhile."""
    reads = reading(engine).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with store_errors(), reads.connect() as connection:
        connection.exec_driver_sql("SET LOCAL client_encoding = 'UTF8'")
        connection.exec_driver_sql("SET LOCAL bytea_output = 'hex'")
        yield connection


@contextmanager
def opened_copy(path: Path) -> Iterator[Connection]:
    """A connection to a copy that `copy_file` has made."""
    with opened_engine(f"sqlite:///{path}") as engine, store_errors(), reading(engine).connect() as connection:
        yield connection


def text_parts(connection: Connection, table: TableLayout) -> Iterator[tuple[bytes, int]]:
    """The rows of a table in the text format of COPY, in parts of whole lines, and the number of rows of each."""
    driver: Any = connection.connection.driver_connection
    part, number = bytearray(), 0
    with (
        driver.cursor() as cursor,
        cursor.copy(f'COPY "{table.name}" ({table.column_list()}) TO STDOUT'.encode()) as rows,
    ):
        for row in rows:
            part += row
            number += 1
            if len(part) >= TEXT_BYTES:
                yield bytes(part), number
                part, number = bytearray(), 0
    if number:
        yield bytes(part), number
