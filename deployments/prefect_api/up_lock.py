"""The lock that allows one `up` per data directory, and the address of its server.

The lock belongs to the process and goes with it. So the address that a killed `up` has left is known to be stale, and
the password is never sent to another program that uses its port now.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError
from deployments import private_file
from deployments.prefect_api import file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class RunningUp:
    """A running `up`: the URL of its API, its process id, and its start (seconds since 1970)."""

    url: str
    pid: int
    started: float


def announcement_path() -> Path:
    return settings.data_dir() / "up.json"


@contextlib.contextmanager
def hold() -> Iterator[None]:
    """Be the only `up` of this data directory. Raises FirstPartyGenericError if there is another one."""
    descriptor = file_lock.open_lock(_path())
    try:
        if not file_lock.lock_within(descriptor):
            raise FirstPartyGenericError(
                f"`up` is already running with the data in {settings.data_dir()}.",
                hint="Use it, stop it with Ctrl-C, or set ONEPASSWORD_SOURCE_DATA_DIR to another directory.",
            )
        try:
            yield
        finally:
            announcement_path().unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def announce(url: str) -> None:
    """Publish the URL of this `up` for other commands."""
    running = RunningUp(url, pid=os.getpid(), started=time.time())
    private_file.replace(announcement_path(), json.dumps(asdict(running)).encode())


def read_announcement() -> RunningUp | None:
    """The announcement of the running `up`; None if none runs, or it has not announced its server yet."""
    if not is_held():
        return None
    try:
        return RunningUp(**json.loads(announcement_path().read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_held() -> bool:
    """True if an `up` of this data directory runs, even if its server is not ready."""
    return not file_lock.is_free(_path())


def _path() -> Path:
    return settings.data_dir() / "up.lock"
