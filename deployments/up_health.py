"""The health of `up` in one small file without secrets: the watchdog writes it, the guard reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from blocks import clock, settings
from deployments import private_file

if TYPE_CHECKING:
    from pathlib import Path

FRESH_SECONDS = 75.0
"""If the file is older, nothing watches any more. A round takes 15 s, or 35 s if a probe hangs."""
METRICS_SECONDS = 8.0
"""The longest time that `/metrics` waits for the store. Prometheus waits for 10 s by default."""
NOT_WATCHED = "`up` has ended or hangs: nothing watches it any more."


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong (server, worker, store, runs, disk), a sentence, and since when (seconds since 1970)."""

    what: str
    text: str
    since: float


@dataclass(frozen=True, slots=True)
class UpHealth:
    """The last check of `up`. `time` and `started` are in seconds since 1970; restarts count since the start.

    `warnings` are about what will go wrong: a disk that fills. `up` is healthy with them.
    """

    time: float
    healthy: bool
    troubles: tuple[Trouble, ...]
    started: float
    server_restarts: int = 0
    worker_restarts: int = 0
    warnings: tuple[Trouble, ...] = ()

    @property
    def is_fresh(self) -> bool:
        return abs(clock.now() - self.time) <= FRESH_SECONDS


def path() -> Path:
    return settings.data_dir() / "up-health.json"


def troubles_now() -> tuple[Trouble, ...]:
    """The troubles of the `up` that runs with this data directory; none if no `up` runs."""
    found = read(path())
    return found.troubles if found is not None and found.is_fresh else ()


def warnings_now() -> tuple[Trouble, ...]:
    """The warnings of the `up` that runs with this data directory; none if no `up` runs."""
    found = read(path())
    return found.warnings if found is not None and found.is_fresh else ()


def write(file: Path, health: UpHealth) -> None:
    """Replace the file atomically, with mode 0600. Raises OSError."""
    private_file.replace(file, msgspec.json.encode(health))


def read(file: Path) -> UpHealth | None:
    """The content of the file, or None if there is no readable one."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=UpHealth)
    except (OSError, msgspec.MsgspecError):
        return None
