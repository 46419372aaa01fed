"""Encrypts the blocks in the database of this machine's Prefect with another key: all of them or none.

Prefect stores each block as a JSON string that holds a Fernet token, and encrypts nothing else there. The database is
the embedded PostgreSQL, or the SQLite file if PostgreSQL does not run here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Protocol

from cryptography.fernet import Fernet, InvalidToken

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import database, local_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_SECONDS = 1.0
NAMED = 5
COLUMNS = "id::text, block_type_name || '/' || name, data::text"
FROM = "FROM block_document ORDER BY id"

Rows = list[tuple[str, str, str]]


class Documents(Protocol):
    """The block documents of one open database."""

    def read(self) -> Rows:
        """The id, name and JSON text of each document. Empty if Prefect has not created its tables yet."""

    def replace(self, rows: list[tuple[str, str]]) -> None:
        """Replace texts by id, in one transaction, and leave no copy of the old texts in the database's files."""


def reencrypt_blocks(old: str, new: str) -> int:
    """Encrypt all documents with `new` instead of `old`, in one transaction. Returns the number of documents.

    Raises FirstPartyGenericError if another process has the database open, or a document cannot be read with `old`.
    """
    with _open_documents(alone=True) as documents:
        rows = _encrypted(documents.read(), Fernet(old), Fernet(new))
        documents.replace(rows)
        return len(rows)


def is_encrypted_with(key: str) -> bool:
    """True if any document can be read with this key."""
    with _open_documents(alone=False) as documents:
        return any(_decrypted(data, Fernet(key)) is not None for _, _, data in documents.read())


@contextlib.contextmanager
def _open_documents(*, alone: bool) -> Iterator[Documents]:
    if database.is_embedded() and database.cluster().is_created:
        with database.running(), _open_postgresql() as documents:
            yield documents
    elif local_files.prefect_database().exists():
        with _open_sqlite(local_files.prefect_database(), alone=alone) as documents:
            yield documents
    else:
        yield _NoDocuments()


class _NoDocuments:
    def read(self) -> Rows:
        return []

    def replace(self, rows: list[tuple[str, str]]) -> None:
        pass


class _SqliteDocuments:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read(self) -> Rows:
        made = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'block_document'").fetchone()
        columns = COLUMNS.replace("::text", "")
        return list(self._connection.execute(f"SELECT {columns} {FROM}")) if made else []

    def replace(self, rows: list[tuple[str, str]]) -> None:
        if rows:
            self._connection.executemany("UPDATE block_document SET data = ? WHERE id = ?", rows)
        self._connection.execute("COMMIT")
        # Otherwise data encrypted with the old key would stay in the log.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def _open_sqlite(path: Path, *, alone: bool) -> Iterator[Documents]:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        if alone:
            _lock(connection)
        yield _SqliteDocuments(connection)


def _lock(connection: sqlite3.Connection) -> None:
    try:
        # Exclusive from the first access. It fails while any other process has the database open.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise local_files.in_use_error() from None


@contextlib.contextmanager
def _open_postgresql() -> Iterator[Documents]:
    import psycopg  # noqa: PLC0415 - 0.1 s, and only here

    class PostgresqlDocuments:
        def __init__(self, connection: psycopg.Connection[tuple[str, str, str]]) -> None:
            self._connection = connection

        def read(self) -> Rows:
            found = self._connection.execute("SELECT to_regclass('block_document') IS NOT NULL").fetchone()
            return list(self._connection.execute(f"SELECT {COLUMNS} {FROM}".encode())) if found and found[0] else []

        def replace(self, rows: list[tuple[str, str]]) -> None:
            if not rows:
                return
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany("UPDATE block_document SET data = %s WHERE id::text = %s", rows)
            # Otherwise data encrypted with the old key would stay in the table's file and in the log.
            for statement in (b"VACUUM FULL block_document", b"SELECT pg_switch_wal()", b"CHECKPOINT"):
                self._connection.execute(statement)

    with psycopg.connect(database.psycopg_url(), autocommit=True) as connection:
        _require_alone(connection)
        yield PostgresqlDocuments(connection)


def _require_alone(connection: object) -> None:
    """A server that was started by hand on this database would continue with the old key."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    found = connection.execute(others).fetchone()  # type: ignore[attr-defined]
    if found[0]:
        raise local_files.in_use_error()


def _encrypted(rows: Rows, old: Fernet, new: Fernet) -> list[tuple[str, str]]:
    read = [(number, name, _decrypted(data, old)) for number, name, data in rows]
    if unread := [name for _, name, content in read if content is None]:
        shown = ", ".join(unread[:NAMED]) + (", …" if len(unread) > NAMED else "")
        raise FirstPartyGenericError(
            f"{len(unread)} of Prefect's blocks cannot be read with the current key: {shown}. Nothing was changed.",
            hint="Delete them in the Prefect UI, and apply your sources again: `onepassword-source apply FILE`.",
        )
    return [(json.dumps(new.encrypt(content).decode()), number) for number, _, content in read if content is not None]


def _decrypted(data: str, key: Fernet) -> bytes | None:
    try:
        return key.decrypt(json.loads(data))
    except (InvalidToken, ValueError, TypeError):
        return None
