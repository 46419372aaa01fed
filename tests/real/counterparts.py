"""Software of others, as install.sh has installed it: where it is, and how a server of it starts and ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.one_machine import wait_until
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REAL = ROOT / ".venv" / "real"
NODE = REAL / "node" / "node_modules"
STOP_SECONDS = 20.0


def python(environment: str = "python") -> Path:
    """The interpreter of an environment. Skips the test where it was not installed."""
    return _existing(REAL / environment / "bin" / "python", environment)


def script(name: str) -> Path:
    return _existing(REAL / "python" / "bin" / name, name)


def packaged(name: str) -> Path:
    """A program that a Python package carries, by its path in site-packages."""
    (found, *_) = [*(REAL / "python").glob(f"lib/python*/site-packages/{name}"), REAL / name]
    return _existing(found, name)


def node_file(name: str) -> Path:
    """A file of a Node package."""
    return _existing(NODE / name, name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port


@contextlib.contextmanager
def server(
    command: Sequence[str | Path], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server of `command` that listens on `port`: its URL. Raises AssertionError with its log where it ends."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        ) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def _existing(path: Path, name: str) -> Path:
    if not path.exists():
        pytest.skip(f"{name} is not installed; `make test-real` installs it where the machine allows it")
    return path
