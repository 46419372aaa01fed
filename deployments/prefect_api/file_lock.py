"""Locks on files, with flock(2). The system drops a lock when its process ends, so a dead process blocks nothing.

The package `filelock` does not replace this module: its lock on Unix is exclusive only, and it cannot report whether a
lock is free without taking it alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL_SECONDS = 0.02


def open_lock(path: Path) -> int:
    """The file descriptor of a lock file. The file is created with mode 0600 if it is missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock, or return False at once if another process has it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(descriptor: int, seconds: float = 3.0) -> bool:
    """Take the lock alone. False if another process holds it for longer than `seconds`.

    `is_free` holds the lock for a moment in another process, which must not count as its owner. So this waits a little.
    """
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def is_free(path: Path) -> bool:
    """True if no process holds the lock alone. It tries a shared lock, so two checks at once do not see each other."""
    descriptor = open_lock(path)
    try:
        return try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock, alone or shared with others. Waits while another process has it."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
