"""A clock for several real processes: the system's plus a shift in a file. Waits end once it has grown enough."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from blocks import clock


class FileClock:
    """The file `moved` has the shift in ns; each waiting thread writes a file with the time at which its wait ends."""

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
        """Move the clock forward, or back."""
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
        """The times at which waits end, sorted: in all live processes, or in one process."""
        found: list[int] = []
        for file in self._waiting.iterdir():
            owner = int(file.name.split("-")[0])
            if pid in (None, owner) and Path(f"/proc/{owner}").exists():
                text = file.read_text() if file.exists() else ""
                found += [int(text)] if text else []
        return sorted(found)

    def advance_to_next_wake(self) -> None:
        """Move the clock to the time at which the first wait ends."""
        if wakes := self.wakes_ns():
            self.advance(max((wakes[0] - self.now_ns()) / 1e9, 0) + 1e-6)

    def _shift_ns(self) -> int:
        return int(self._moved.read_text())


def install(directory: str) -> None:
    clock.clock = FileClock(Path(directory))
