"""A disk that is soon full: a file system in memory, where this user may mount one; elsewhere a limit of each file."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_KIB = 100
"""The limit of a file: less than the stores of the tests have."""


@contextmanager
def small_disk(path: Path, kib: int) -> Iterator[Callable[[], None]]:
    """Make the directory `path` with so much room. What it gives makes room enough."""
    path.mkdir()
    if not _is_mounted(path, kib):
        with _limited_files() as release:
            yield release
        return
    try:
        yield lambda: _mount("remount,size=64m", path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


def _is_mounted(path: Path, kib: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)]
    return (
        shutil.which("mount") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def _mount(options: str, path: Path) -> None:
    subprocess.run(["mount", "-o", options, str(path)], check=True)


@contextmanager
def _limited_files() -> Iterator[Callable[[], None]]:
    """No file of this process grows beyond the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_KIB * 1024, hard))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
