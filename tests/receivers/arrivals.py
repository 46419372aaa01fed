"""How often each uuid was accepted, stored in a file, so that it survives a kill."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Arrivals:
    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._counts = read(file) if file and file.exists() else Counter()
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if file else None
        self.events = self._counts.total()

    def add(self, uuids: Sequence[str]) -> None:
        with self._lock:
            if self._file is not None and uuids:
                _write(self._file, "".join(f"{uuid}\n" for uuid in uuids).encode())
            self._counts.update(uuids)
            self.events += len(uuids)

    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter(self._counts)

    @property
    def distinct(self) -> int:
        return len(self._counts)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


def read(file: Path) -> Counter[str]:
    """Read the counts of a file. If a kill cut the last line short, that event was never acknowledged."""
    return Counter(line for line in file.read_text().splitlines(keepends=False) if line)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
