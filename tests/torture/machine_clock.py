"""The clock of a machine, set forward and back for all processes of an `up` while they run."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("preloaded_clock.c")


@dataclass
class MachineClock:
    """`env` has the variables with which a process and its children use this clock."""

    directory: Path
    moved: float = 0.0

    @classmethod
    def made(cls, directory: Path) -> MachineClock:
        """Build the clock. Skips the test without Linux and a C compiler."""
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None or not sys.platform.startswith("linux"):
            pytest.skip("a clock that can be set takes a C compiler, on Linux")
        directory.mkdir()
        clock = cls(directory)
        clock.set(0)
        where = f'-DCLOCK_FILE="{clock._file}"'
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", where, SOURCE, "-o", clock._library, "-ldl"], check=True)
        return clock

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library)}

    def set(self, moved: float) -> None:
        """Set it to so many seconds ahead of this machine's own clock."""
        self._file.touch()
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", int(moved * 1e9)))
        self.moved = moved

    def now(self) -> float:
        """Seconds since 1970, by this clock."""
        return time.time() + self.moved

    @property
    def _file(self) -> Path:
        return self.directory / "moved"

    @property
    def _library(self) -> Path:
        return self.directory / "clock.so"
