"""What this program keeps on the disk of this machine: each part, its size, and what bounds it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.store.engine import sqlite_path
from deployments.rotating_log import BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOGS = ("server.log", "worker.log", "database.log")
STORE, WAL = "store", "write-ahead log"
GROWS = "grows with each event until `prune` removes old ones"
_WAL = "is written back within minutes; a reader that hangs keeps it"
_PREFECT = f"keeps runs for {settings.PREFIX}RUNS_KEPT, and 256 MB of log at most"
_LOGS = f"at most {2 * len(LOGS) * BYTES // 10**6} MB"
_UI = "one copy for each version of Prefect"
_OTHER = "locks, secrets, and health events while the store does not answer (1 MB for each source at most)"


@dataclass(frozen=True, slots=True)
class DiskPart:
    """A part with its size in bytes; `bound` says what limits it, as the end of a sentence."""

    name: str
    size: int
    bound: str


def parts(url: str) -> list[DiskPart]:
    """The parts on the disks of this machine. A store in PostgreSQL is not on them."""
    data = settings.data_dir()
    found = [
        DiskPart("Prefect's database", _sum(_prefect_database(data)), _PREFECT),
        DiskPart("logs", _sum(data / f"{name}{end}" for name in LOGS for end in ("", ".1")), _LOGS),
        DiskPart("UI", _sum([data / "prefect" / "ui"]), _UI),
    ]
    store = sqlite_path(url)
    files = [Path(store), Path(f"{store}-shm")] if store else []
    log = [Path(f"{store}-wal")] if store else []
    if store:
        found = [DiskPart(STORE, _sum(files), GROWS), DiskPart(WAL, _sum(log), _WAL), *found]
    inside = [path for path in (*files, *log) if path.absolute().is_relative_to(data)]
    rest = max(_sum([data]) - _sum(inside) - sum(part.size for part in found if part.name not in {STORE, WAL}), 0)
    return [*found, DiskPart("other files", rest, _OTHER)]


def _prefect_database(data: Path) -> Iterator[Path]:
    yield from (data / "prefect").glob("postgresql-*")
    yield from (data / "prefect").glob("prefect.db*")


def _sum(paths: Iterable[Path]) -> int:
    return sum(_size(path) for path in paths)


def _size(path: Path) -> int:
    """The size of a file, or of all files below a directory. What disappears meanwhile counts as nothing."""
    total = 0
    with suppress(OSError):
        if not path.is_dir():
            return path.stat().st_size
        for directory, _, names in os.walk(path):
            for name in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118 - thousands of files
    return total
