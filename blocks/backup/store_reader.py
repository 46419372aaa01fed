"""Puts the store of a backup in place: in a new file of SQLite, or in an empty PostgreSQL, whichever it came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from blocks.backup.manifest import STORE_FILE
from blocks.backup.room import require_room
from blocks.backup.sealed_archive import CHUNK, Part
from blocks.errors import FirstPartyGenericError
from blocks.store import schema
from blocks.store.engine import consequence, opened_engine, reading, sqlite_path, store_errors, writing
from blocks.store.transfer import content, copy_text, copying, rows, settling, snapshot, target
from blocks.store.transfer.table_layout import tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Engine

    from blocks.backup.manifest import Manifest
    from blocks.backup.sealed_archive import SealedArchive
    from blocks.store.transfer.rows import Rows
    from blocks.store.transfer.table_layout import TableLayout

NOTHING = "Nothing of it is in place; the backup is as it was."
UNUSED = "What was copied is not used before the restore is complete; the backup is as it was."
ROOM = 1.2
"""Free space that a restored file of SQLite needs, in sizes of its content: the file, and the log of its upgrade."""
DAMAGED = frozenset({11, 26})
"""SQLite's codes for a file that is no database, or a damaged one. Others are those of the disk."""
ENDS = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True)
class StoreRestore:
    """A backup and the database that it is restored into."""

    archive: SealedArchive
    manifest: Manifest
    url: str
    scratch: Path
    """A name for a copy of the store's file, in a directory with room for it."""

    @property
    def is_file(self) -> bool:
        """True for SQLite: then the store is placed as a whole."""
        return sqlite_path(self.url) is not None

    def require_empty(self) -> None:
        """Raises ThirdPartyConfigError if the database holds a store."""
        path = sqlite_path(self.url)
        if path is not None and not Path(path).exists():
            return
        with opened_engine(self.url) as engine:
            target.require_empty(engine)

    def require_room(self) -> None:
        """Raises FirstPartyGenericError if the disk of an SQLite file is too small. That of a server is not visible."""
        path = sqlite_path(self.url)
        if path is not None:
            size = sum(part.size for part in self.manifest.parts if part.name.startswith("store/"))
            require_room(Path(path).absolute().parent, size * ROOM, NOTHING, self._hint())

    def is_placed(self) -> bool:
        """True if an earlier call, which was interrupted, has restored the store already."""
        path = sqlite_path(self.url)
        if path is not None and not Path(path).exists():
            return False
        with opened_engine(self.url) as engine:
            if schema.version(engine) == schema.INCOMPLETE:
                return False
            with store_errors(), reading(engine).connect() as connection:
                return target.holds_anything(connection)

    def place(self, advance: Callable[[int], object] = lambda _: None, *, paused: bool = False) -> None:
        """Restore the store and settle it. `advance` is called with numbers of bytes or rows.

        A file of SQLite is in place complete or not at all. Raises FirstPartyGenericError if the disk is full or the
        database does not answer.
        """
        path = sqlite_path(self.url)
        with consequence(NOTHING if path else UNUSED, self._hint()):
            try:
                self._place(None if path is None else Path(path), advance, paused=paused)
            except OSError as error:
                raise FirstPartyGenericError(
                    f"The store could not be restored: {error.strerror}. {NOTHING if path else UNUSED}",
                    hint=self._hint(),
                    code="backup-space",
                ) from None

    def _hint(self) -> str:
        path = sqlite_path(self.url)
        where = "for the database" if path is None else f"in {Path(path).absolute().parent}"
        return f"Free space {where}, and run the same command again."

    def _place(self, path: Path | None, advance: Callable[[int], object], *, paused: bool) -> None:
        if path is not None:
            self._place_file(path, advance, paused=paused)
            return
        if self.manifest.database == "sqlite":
            self._copy_into_postgresql(advance)
        else:
            with opened_engine(self.url) as engine:
                self._load_rows(engine, advance)
        self.settle(paused=paused)

    def settle(self, *, paused: bool) -> None:
        """Bring the restored store to the newest version, and void the claims of runs of the other machine."""
        self._settle(self.url, paused=paused)

    def _settle(self, url: str, *, paused: bool) -> None:
        with opened_engine(url) as engine:
            schema.upgrade(engine)
            with writing(engine) as connection:
                settling.settle(connection, "restore", paused=paused, backup=self.manifest.created)

    def _place_file(self, path: Path, advance: Callable[[int], object], *, paused: bool) -> None:
        part = path.with_name(path.name + ".restoring")
        _remove(part)
        try:
            if self.manifest.database == "sqlite":
                self._extract(part, advance)
            else:
                with opened_engine(f"sqlite:///{part}") as engine:
                    self._load_rows(engine, advance)
            _require_readable(part)
            self._settle(f"sqlite:///{part}", paused=paused)
            _flush_log(part)
            _remove(path)  # an empty store, if any
            part.replace(path)
            _sync_directory(path.parent)
        finally:
            _remove(part)

    def _extract(self, path: Path, advance: Callable[[int], object]) -> None:
        for part, file in self._parts():
            if part.name == STORE_FILE:
                _write(path, file, advance)

    def _copy_into_postgresql(self, advance: Callable[[int], object]) -> None:
        version = self.manifest.schema
        try:
            _remove(self.scratch)
            self._extract(self.scratch, lambda _: None)
            with snapshot.opened_copy(self.scratch) as source, opened_engine(self.url) as engine:
                tables = tables_of(version)
                progress = target.begin(engine, version, self.archive.sha256)
                copying.copy_tables(source, engine, tables, progress, advance)
                copying.require_equal(source, engine, tables)
                with writing(engine) as connection:
                    target.finish(connection, version)
        finally:
            _remove(self.scratch)

    def _load_rows(self, engine: Engine, advance: Callable[[int], object]) -> None:
        """Load rows in the text format of COPY, in one transaction."""
        version = self.manifest.schema
        tables = {table.name: table for table in tables_of(version)}
        target.begin(engine, version, self.archive.sha256)
        with writing(engine) as connection:
            for name, parts in groupby(self._parts(), lambda one: one[0].name.split("/")[1]):
                table = _in_order(tables[name], self.manifest.store.tables[name].columns)
                blocks = (_advancing(block, advance) for _, file in parts for block in _blocks(file))
                if connection.dialect.name == "sqlite":
                    rows.write(connection, table, _batches(blocks, table))
                else:
                    rows.write_text(connection, table, blocks)
            content.set_sequences(connection, self.manifest.store.sequences)
            self._require_counts(content.row_counts(connection, list(tables.values())))
            target.finish(connection, version)

    def _require_counts(self, there: dict[str, int]) -> None:
        for name, entry in self.manifest.store.tables.items():
            if there[name] != entry.rows:
                raise FirstPartyGenericError(
                    f"The table {name} of the backup has {there[name]:,} rows instead of {entry.rows:,}. Nothing was "
                    "restored.",
                    hint="Use another backup, and please report this.",
                    code="backup-damaged",
                )

    def _parts(self) -> Iterator[tuple[Part, IO[bytes]]]:
        entries = {one.name: Part(one.name, one.size, one.sha256) for one in self.manifest.parts}
        return (found for found in self.archive.read(entries) if found[0].name.startswith("store/"))


def _in_order(table: TableLayout, columns: list[str]) -> TableLayout:
    """The layout with its columns in the order in which they were written."""
    return replace(table, columns={name: table.columns[name] for name in columns})


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(CHUNK):
        yield block


def _advancing(block: bytes, advance: Callable[[int], object]) -> bytes:
    advance(len(block))
    return block


def _batches(blocks: Iterable[bytes], table: TableLayout) -> Iterator[Rows]:
    batch: Rows = []
    for row in copy_text.rows(_lines(blocks), table.columns.values()):
        batch.append(row)
        if len(batch) >= rows.FETCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


def _write(path: Path, file: IO[bytes], advance: Callable[[int], object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as target_file:  # noqa: PTH123 - a descriptor
        for block in _blocks(file):
            target_file.write(block)
            advance(len(block))
        target_file.flush()
        os.fsync(descriptor)


def _require_readable(path: Path) -> None:
    """Raises FirstPartyGenericError if the file is no store: as the backup of one that was damaged already."""
    with store_errors(), opened_engine(f"sqlite:///{path}") as engine:
        try:
            with reading(engine).connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
        except DBAPIError as error:
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                raise
            raise FirstPartyGenericError(
                f"The restored store {path} cannot be opened.",
                hint="Use another backup, and please report this.",
                code="backup-damaged",
            ) from error


def _flush_log(path: Path) -> None:
    """Write the log into the file, so that the file alone is the store."""
    with store_errors(), opened_engine(f"sqlite:///{path}") as engine, reading(engine).connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    for end in ENDS[1:]:
        path.with_name(path.name + end).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for end in ENDS:
        path.with_name(path.name + end).unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
