"""Writes the store into a backup: as a file of SQLite, or as the rows of PostgreSQL, while runs write to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from blocks.backup.manifest import STORE_FILE, StoreContent, TableEntry
from blocks.backup.room import require_room
from blocks.store import schema
from blocks.store.engine import consequence, is_sqlite
from blocks.store.transfer import content, snapshot
from blocks.store.transfer.table_layout import tables_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from blocks.backup.sealed_archive import ArchiveWriter
    from blocks.store.transfer.table_layout import TableLayout

NO_BACKUP = "No backup was made; the store is not affected."
MORE_ROOM = "Free space there, or name a file on another disk: onepassword-source backup /other/disk/FILE"
ROOM = 1.3
"""Free space that a backup of SQLite needs, in sizes of the store: the copy, and the archive that it is packed into."""


def write_store(
    archive: ArchiveWriter,
    engine: Engine,
    scratch: Path,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[Literal["sqlite", "postgresql"], StoreContent]:
    """Write the store as it is at one moment. `scratch` is where a copy of an SQLite file can be.

    `advance` is called with numbers of bytes: twice those of an SQLite file, or those of the rows as text. Raises
    FirstPartyGenericError if the store does not answer or the disk is full.
    """
    if is_sqlite(engine):
        return "sqlite", _write_file(archive, str(engine.url.database), scratch, advance)
    return "postgresql", _write_rows(archive, engine, advance)


def _write_file(archive: ArchiveWriter, path: str, scratch: Path, advance: Callable[[int], object]) -> StoreContent:
    try:
        _require_room(path, scratch)
        snapshot.copy_file(path, scratch, advance)
        archive.add_file(STORE_FILE, scratch, advance)
        with consequence(NO_BACKUP, MORE_ROOM), snapshot.opened_copy(scratch) as connection:
            return _content(connection, content.row_counts(connection, tables_of(schema.HEAD)))
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            scratch.with_name(scratch.name + end).unlink(missing_ok=True)


def _write_rows(archive: ArchiveWriter, engine: Engine, advance: Callable[[int], object]) -> StoreContent:
    with snapshot.postgresql_snapshot(engine) as connection:
        rows = {table.name: _write_table(archive, connection, table, advance) for table in tables_of(schema.HEAD)}
        return _content(connection, rows)


def _write_table(
    archive: ArchiveWriter, connection: Connection, table: TableLayout, advance: Callable[[int], object]
) -> int:
    rows = 0
    for number, (part, count) in enumerate(snapshot.text_parts(connection, table), 1):
        archive.add(f"store/{table.name}/{number:06}.copy", part)
        advance(len(part))
        rows += count
    return rows


def _content(connection: Connection, rows: dict[str, int]) -> StoreContent:
    tables = tables_of(schema.HEAD)
    return StoreContent(
        tables={table.name: TableEntry(list(table.columns), rows[table.name]) for table in tables},
        sequences=content.sequences(connection, tables),
        streams=content.streams(connection),
        checkpoints=content.chain_heads(connection),
    )


def _require_room(path: str, scratch: Path) -> None:
    require_room(scratch.parent, Path(path).stat().st_size * ROOM, NO_BACKUP, MORE_ROOM)
