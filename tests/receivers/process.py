"""A receiver in its own process, which a test can kill and restart on the same port; accepted events stay."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from receivers import arrivals
from receivers.server import CONTROL
from support.paths import TESTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from receivers.behaviour import Kind

STOP_SECONDS = 10.0


class ReceiverProcess:
    """`vendor` is the name of a module of this folder. `file` stores the accepted events."""

    def __init__(self, vendor: str, file: Path) -> None:
        self._vendor = vendor
        self._file = file
        self._http = httpx.Client(trust_env=False, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.url = ""

    def start(self) -> None:
        """Start it, on the same port as before. Raises RuntimeError if it does not start."""
        command = [sys.executable, "-m", "receivers", self._vendor, "--file", str(self._file)]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(
            [*command, "--port", str(self._port)], env=environment, cwd=TESTS.parent, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        if not self.url:
            raise RuntimeError("The receiver did not start; what it wrote to standard error says why.")
        self._port = httpx.URL(self.url).port or 0

    def kill(self) -> None:
        """End it with SIGKILL at any moment."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        self.kill()
        self._http.close()

    def behave(self, kind: Kind, times: int | None = 1, **options: Any) -> None:
        self._ask("POST", "behave", {"kind": kind, "times": times, **options})

    def clear(self) -> None:
        self._ask("DELETE", "behave")

    def cpu_seconds(self) -> float:
        """CPU time of the process since it was started, user and system (Linux)."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counts(self) -> dict[str, int]:
        """`requests` since its start; accepted `events` (repeated ones too) and `distinct` ones since its first."""
        return dict(self._ask("GET", "counts").json())

    def arrived(self) -> Counter[str]:
        """How often each uuid was accepted, read from the file: the process may be dead."""
        return arrivals.read(self._file)

    def _ask(self, method: str, what: str, wish: dict[str, Any] | None = None) -> httpx.Response:
        return self._http.request(method, f"{self.url}{CONTROL}{what}", json=wish).raise_for_status()


@contextlib.contextmanager
def running_receiver(vendor: str, file: Path) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(vendor, file)
    process.start()
    try:
        yield process
    finally:
        process.close()
