"""The database of the store: its software, and how much room it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks.store.engine import is_sqlite, reading, store_errors

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """`software` with its version. `size` is in bytes, of which `log` are the write-ahead log of SQLite."""

    software: str
    size: int
    log: int = 0


def database_size(engine: Engine) -> DatabaseSize:
    """Raises FirstPartyGenericError if the database does not answer."""
    sqlite = is_sqlite(engine)
    with store_errors(), reading(engine).connect() as connection:
        version = connection.scalar(text("SELECT sqlite_version()" if sqlite else "SHOW server_version"))
        if not sqlite:
            size = connection.scalar(text("SELECT pg_database_size(current_database())"))
            return DatabaseSize(f"PostgreSQL {version}", int(size or 0))
    main, log = (_size(f"{engine.url.database}{suffix}") for suffix in ("", "-wal"))
    return DatabaseSize(f"SQLite {version}", main + log, log)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
