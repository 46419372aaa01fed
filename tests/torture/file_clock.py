"""A clock for several real processes: the system's, moved by what a file says. Waits end when it has been moved."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from blocks import clock


class FileClock:
    """`moved` holds the shift in ns; beside it, each waiting thread keeps a file with the time it waits for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._moved = directory / "moved"
        self._waiting = directory / "waiting"

    @classmethod
    def make(cls, directory: Path) -> FileClock:
        (directory / "waiting").mkdir(parents=True)
        made = cls(directory)
        made.advance(0)
        return made

    def now_ns(self) -> int:
        return time.time_ns() + self._shift_ns()

    def advance(self, seconds: float) -> None:
        """Move it on, or back."""
        shift_ns = self._shift_ns() if self._moved.exists() else 0
        part = self._moved.with_suffix(".part")
        part.write_text(str(shift_ns + int(seconds * 1e9)))
        part.replace(self._moved)

    def engine_delay(self, seconds: float) -> float:
        until_ns = self.now_ns() + int(seconds * 1e9)
        mine = self._waiting / f"{os.getpid()}-{threading.get_ident()}"
        mine.write_text(str(until_ns))
        try:
            while self.now_ns() < until_ns:
                time.sleep(0.01)
        finally:
            mine.unlink()
        return 0.001

    def wakes_ns(self, pid: int | None = None) -> list[int]:
        """When those are due who wait in processes that live, or in one process."""
        found: list[int] = []
        for file in self._waiting.iterdir():
            owner = int(file.name.split("-")[0])
            if pid in (None, owner) and Path(f"/proc/{owner}").exists():
                text = file.read_text() if file.exists() else ""
                found += [int(text)] if text else []
        return sorted(found)

    def advance_to_next_wake(self) -> None:
        """To the moment at which the first of those who wait is due."""
        if wakes := self.wakes_ns():
            self.advance(max((wakes[0] - self.now_ns()) / 1e9, 0) + 1e-6)

    def _shift_ns(self) -> int:
        return int(self._moved.read_text())


def install(directory: str) -> None:
    clock.clock = FileClock(Path(directory))
