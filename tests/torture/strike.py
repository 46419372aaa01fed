"""Faults of the machine: read-only directories, file size limits, locks of another process, and random moments."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.one_machine import repeating
from torture.processes import Fork

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess


@contextmanager
def feeding(sandbox: SandboxProcess, *, at_once: int = 40, every: float = 0.05) -> Iterator[None]:
    """In the `with` block, events keep arriving for all three APIs."""

    def feed() -> None:
        for api in Api:
            sandbox.arrive(api.path, at_once)

    with repeating(feed, every):
        yield


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[None]:
    if os.geteuid() != 0 or subprocess.run(["mount", *options, directory], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a directory read-only: for root by a mount, since modes do not apply to root."""
    if os.geteuid() == 0:
        with mounted(directory, "-o", "bind", str(directory)):
            subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)
            yield
        return
    directory.chmod(0o500)
    try:
        yield
    finally:
        directory.chmod(0o700)


LOCKER = """
import sys
from sqlalchemy import create_engine
engine = create_engine(sys.argv[1], isolation_level="AUTOCOMMIT")
with engine.connect() as connection:
    for statement in sys.argv[2:]:
        connection.exec_driver_sql(statement)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def locked(url: str, *statements: str) -> Iterator[None]:
    """Hold a lock in another process."""
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    command = [sys.executable, "-c", LOCKER, driver, *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout
        assert locker.stdin
        assert locker.stdout.readline() == b"locked\n"
        try:
            yield
        finally:
            locker.stdin.close()


def limit_files(run: Fork, size: int) -> None:
    """From now on no file of the process may grow beyond `size` bytes."""
    _, hard = resource.prlimit(run.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, hard))


def until(seconds: float) -> None:
    """Wait until the random moment at which the fault is injected."""
    time.sleep(seconds)
