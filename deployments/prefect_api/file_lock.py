"""Locks on files. The system drops a lock when its process ends, however it ends: no lock of the dead stays behind."""

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
    """The file descriptor of a lock file, which is made if there is none (mode 0600)."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock, or return False at once if another process has it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(descriptor: int, seconds: float = 3.0) -> bool:
    """Take the lock alone, or return False if another process has it for longer than it takes to look.

    Who looks (`is_free`) holds it for a moment, and must not be taken for its owner.
    """
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def is_free(path: Path) -> bool:
    """Whether no process holds the lock alone. A shared try, so that two that look at once do not see each other."""
    descriptor = open_lock(path)
    try:
        return try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock, alone or together with others. Waits while another process keeps that from being so."""
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
