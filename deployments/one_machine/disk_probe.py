"""Whether the disks have room for another day, by how much was written in the last one.

It reads sizes only, so that `up` needs no connection to the store for it.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from deployments.disk_space import format_bytes, free_space

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DAY_SECONDS, SAMPLE_SECONDS = 86_400.0, 600.0
LEAST = 512 * 10**6
"""What a day needs in any case: the logs, and what PostgreSQL may write ahead of its tables."""


class DiskProbe:
    """Returns a warning while less is free than a day needs; else None."""

    def __init__(
        self,
        places: Sequence[Path],
        used: Callable[[], int],
        *,
        least: int = LEAST,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`used` returns the bytes of what grows. `places` are directories of the disks."""
        self._places = places
        self._used = used
        self._least = least
        self._steady = steady
        self._samples: deque[tuple[float, int]] = deque()

    def __call__(self) -> str | None:
        """Raises OSError."""
        need = max(self._growth(), self._least)
        short = [(place, free) for place, free in free_space(self._places) if free < need]
        if not short:
            return None
        place, free = min(short, key=lambda one: one[1])
        return (
            f"Only {format_bytes(free)} are free for {place}, and a day needs {format_bytes(need)}. When the disk is"
            " full, nothing is stored; 1Password keeps events for 120 days. Free space, or remove old events:"
            " `onepassword-source prune`."
        )

    def _growth(self) -> int:
        """The bytes that were added in the last day, or since the start if that is less."""
        now = self._steady()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, self._used()))
        while now - self._samples[0][0] > DAY_SECONDS:
            self._samples.popleft()
        return max(self._samples[-1][1] - min(size for _, size in self._samples), 0)


def disk_probe() -> DiskProbe:
    """The probe of this machine's data directory, and of the store if that is a file."""
    store = _store_file()
    data = settings.data_dir()
    files = [store, store.with_name(f"{store.name}-wal")] if store else []
    places = [*([store.parent] if store else []), data]
    return DiskProbe(places, lambda: sum(_size(path) for path in files))


def _store_file() -> Path | None:
    """The file of an SQLite store, read from its URL without the libraries of a database."""
    dialect, _, path = settings.database_url().partition(":///")
    name = path.partition("?")[0]
    return Path(name).absolute() if dialect.startswith("sqlite") and name and not name.startswith(":") else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
