"""The blocks in Prefect's own SQLite database: encrypted anew with another key, all of them or none.

Prefect keeps each block's document as a JSON string that holds a Fernet token; nothing else there is encrypted.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

from blocks.errors import FirstPartyGenericError
from deployments import own_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_SECONDS = 1.0
NAMED = 5
DOCUMENTS = "SELECT id, block_type_name || '/' || name, data FROM block_document ORDER BY id"


def encrypt_anew(database: Path, old: str, new: str) -> int:
    """Encrypt all documents with `new` instead of `old`, in one transaction; how many there are.

    FirstPartyGenericError where another process has the database open, or a document cannot be read with `old`.
    """
    if not database.exists():
        return 0
    with _opened_alone(database) as connection:
        rows = _turned(_documents(connection), Fernet(old), Fernet(new))
        if rows:
            connection.executemany("UPDATE block_document SET data = ? WHERE id = ?", rows)
        connection.execute("COMMIT")
        # What was encrypted with the old key would otherwise stay in the log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(rows)


def is_encrypted_with(database: Path, key: str) -> bool:
    """Whether any document can be read with this key."""
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = _documents(connection)
    return any(_decrypted(data, Fernet(key)) is not None for _, _, data in rows)


@contextlib.contextmanager
def _opened_alone(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database, timeout=BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        try:
            # Exclusive from the first access on: it fails while any other process, ours or not, has the database open.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise own_secrets.in_use() from None
        yield connection


def _documents(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'block_document'").fetchone()
    return list(connection.execute(DOCUMENTS)) if made else []


def _turned(rows: list[tuple[str, str, str]], old: Fernet, new: Fernet) -> list[tuple[str, str]]:
    read = [(number, name, _decrypted(data, old)) for number, name, data in rows]
    if unread := [name for _, name, content in read if content is None]:
        shown = ", ".join(unread[:NAMED]) + (", …" if len(unread) > NAMED else "")
        raise FirstPartyGenericError(
            f"{len(unread)} of Prefect's blocks cannot be read with the current key: {shown}. Nothing was changed.",
            hint="Delete them in the Prefect UI, and apply your sources again.",
        )
    return [(json.dumps(new.encrypt(content).decode()), number) for number, _, content in read if content is not None]


def _decrypted(data: str, key: Fernet) -> bytes | None:
    try:
        return key.decrypt(json.loads(data))
    except (InvalidToken, ValueError, TypeError):
        return None
