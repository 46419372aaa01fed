"""One measured process: the job it is given, what it took, and how both pass through its pipes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """Collect `events` events from the sandbox into a database; without a database, read them only."""

    base_url: str
    token: str
    events: int
    database_url: str | None = None


@dataclass(frozen=True)
class Measured:
    """`seconds` and `cpu_seconds` are of reading and storing; `peak_mb` is the process's, from its start.

    `tenth_mb` is that peak when a tenth was stored, `began` when reading began by the machine's own clock.
    `whole_seconds` is from before the process starts until after it ended.
    """

    pages: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    tenth_mb: float = 0.0
    began: float = 0.0
    whole_seconds: float = 0.0


class Stopwatch:
    """Wall clock and CPU seconds of this process, from the first `start` to the last `stop`."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def start(self) -> None:
        self._first = self._first or _now()

    def stop(self) -> None:
        self._last = _now()

    def measured(self, pages: int, tenth_mb: float = 0.0) -> Measured:
        first = self._first or self._last
        return Measured(pages, self._last[0] - first[0], self._last[1] - first[1], peak_mb(), tenth_mb, first[0])


def run_child(script: str, job: Job) -> Measured:
    """Do `job` in a process of its own. Raises CalledProcessError where it fails."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        input=json.dumps(asdict(job)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Measured(**{**found, "whole_seconds": time.monotonic() - started})


def read_job() -> Job:
    return Job(**json.load(sys.stdin))


def print_measurement(measured: Measured) -> None:
    print(json.dumps(asdict(measured)))  # noqa: T201


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent had when it made this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
