"""Backups of a store alone, without Prefect, for tests of the format and of restoring."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from support.kept_store import in_order, read_all

from blocks import clock
from blocks.backup import manifest as manifests
from blocks.backup import sealed_archive, store_writer
from blocks.backup.manifest import FORM, Manifest, PartEntry
from blocks.backup.sealed_archive import ArchiveWriter
from blocks.backup.store_reader import StoreRestore
from blocks.store import schema
from blocks.store.engine import opened_engine

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

CLAIM = ("holder", "holder_process", "claimed_ns", "claim_expires_ns", "fence")
"""Columns of a claim, which a restored or moved store does not keep."""


def write(url: str, path: Path) -> Manifest:
    """Write a backup of the store at `url`."""
    with opened_engine(url) as engine, path.open("wb") as file:
        archive = ArchiveWriter(file, clock.now_ns() // 10**9)
        database, store = store_writer.write_store(archive, engine, path.with_suffix(".store"))
        made = Manifest(
            format=FORM,
            program="0",
            prefect="0",
            created=dt.datetime.now(dt.UTC).isoformat(),
            host="here",
            database=database,
            schema=schema.HEAD,
            store=store,
            parts=[PartEntry(one.name, one.size, one.sha256) for one in archive.parts],
            settings={},
        )
        archive.finish(made.encode())
    return made


def restore_of(path: Path, url: str) -> StoreRestore:
    """The step-by-step restore of a backup into the database at `url`."""
    archive = sealed_archive.open_sealed(path)
    return StoreRestore(archive, manifests.parse(archive.manifest()), url, path.with_suffix(".scratch"))


def restore(path: Path, url: str, *, paused: bool = False) -> None:
    """Restore a backup, as the command does."""
    wanted = restore_of(path, url)
    wanted.require_empty()
    wanted.place(paused=paused)


def rows(engine: Engine) -> dict[str, Any]:
    """All rows of a store but for what `settle` changes: claims, due times of runs, records of restore and move."""
    found = read_all(engine)
    for table in ("streams", "windows", "positions"):
        for row in found[table]:
            for column in CLAIM:
                row.pop(column)
    for row in found["sources"]:
        row.pop("due_ns")
    found["audit_log"] = [row for row in found["audit_log"] if row["action"] not in {"restore", "move"}]
    return {table: in_order(some) for table, some in found.items()}
