"""Makes a backup while everything runs: the store at one moment, and what Prefect knows beyond it.

This module imports Prefect: use it within a `prefect_session`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from whenever import Instant

from blocks import clock, settings
from blocks.backup import secret_box
from blocks.backup.manifest import FORM, SECRETS, Manifest, PartEntry
from blocks.backup.sealed_archive import ArchiveWriter
from blocks.backup.store_writer import write_store
from blocks.store import last_backup, schema
from blocks.store.engine import sqlite_path
from deployments.backups import prefect_content
from deployments.backups.backup_file import new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

SECRET_SETTINGS = frozenset(
    {"DATABASE_URL", "API_TOKEN", "BACKUP_PASSPHRASE", "HEARTBEAT_URL", "CONSOLE_PASSWORD", "CONSOLE_VIEWER_PASSWORD"}
)


@dataclass(frozen=True)
class Backup:
    """A backup that was made: its file with its size and the SHA-256 of its seal, its manifest, and warnings."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest
    warnings: tuple[str, ...]


def expected_bytes(engine: Engine) -> int:
    """About how many bytes `make` reports to `advance`."""
    path = sqlite_path(engine.url.render_as_string(hide_password=False))
    if path is not None:
        return Path(path).stat().st_size * 2
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def make(engine: Engine, path: Path, passphrase: str, advance: Callable[[int], object] = lambda _: None) -> Backup:
    """Make a backup. `advance` is called with numbers of bytes.

    Raises FirstPartyGenericError if the store or the disk fails. Then no file is left, and one that existed stays.
    """
    created_ns = clock.now_ns()
    content = prefect_content.read()
    with new_file(path) as (file, scratch):
        archive = ArchiveWriter(file, created_ns // 10**9)
        archive.add(SECRETS, secret_box.seal(msgspec.json.encode(content), passphrase))
        database, store = write_store(archive, engine, scratch, advance)
        manifest = Manifest(
            format=FORM,
            program=version("onepassword-source"),
            prefect=version("prefect"),
            created=Instant.from_timestamp(created_ns, unit="nanosecond").format_iso(),
            host=socket.gethostname(),
            database=database,
            schema=schema.HEAD,
            store=store,
            parts=[PartEntry(one.name, one.size, one.sha256) for one in archive.parts],
            settings=_settings(),
            other_stores=content.other_stores(),
        )
        sha256 = archive.finish(manifest.encode())
    size = path.stat().st_size
    last_backup.record(engine, str(path.absolute()), size, sha256)
    return Backup(path, size, sha256, manifest, tuple(_warnings(content)))


def _settings() -> dict[str, str | None]:
    """The settings of this shell, so that a person can set them again. Secrets are named only."""
    found = {one.name: settings.read(one.name) for one in settings.SETTINGS}
    return {name: None if name in SECRET_SETTINGS else value for name, value in found.items() if value is not None}


def _warnings(content: prefect_content.PrefectContent) -> Iterator[str]:
    if stores := content.other_stores():
        yield (
            f"The blocks of {', '.join(stores)} name a store of their own, which is not in this backup: its events are "
            "only in that database. Make a backup with ONEPASSWORD_SOURCE_DATABASE_URL set to it, too."
        )
    if content.other_deployments:
        yield f"Deployments of other flows are not in the backup: {', '.join(content.other_deployments)}."
