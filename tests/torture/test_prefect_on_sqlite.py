"""Where Prefect has to use SQLite: another process holds its write lock for long, and afterwards the server works."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.one_machine import environment, free_port, wait_until

from deployments.one_machine.processes import Child
from deployments.prefect_api import local_files, server_access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torture.outcome import Row

pytestmark = [pytest.mark.torture, pytest.mark.prefect]

HELD_SECONDS = 75.0
"""Longer than the minute that Prefect waits for a lock of SQLite."""
WHOLE_SECONDS = 60.0
CLIENTS = 4


@contextmanager
def _server(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    for name, value in environment(directory, port).items():
        monkeypatch.setenv(name, value)
    database = local_files.prefect_home() / "prefect.db"
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        **server_access.environment_for(url),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
    }
    with (directory / "server.log").open("wb") as log:
        arguments = ["--host", "127.0.0.1", "--port", str(port)]
        server = Child("server", arguments, env, log, module="deployments.one_machine.guarded_server")
        server.start()
        try:
            wait_until(lambda: server_access.answers(url), 180)
            yield url
        finally:
            server.stop(signal.SIGTERM, 10)


def _write(url: str, seconds: float = 10.0) -> bool:
    """Create a flow, which is one write."""
    try:
        with server_access.authenticated_client(seconds) as client:
            return client.post(f"{url}/flows/", json={"name": f"flow-{time.time_ns()}"}).status_code == 201
    except httpx.HTTPError:
        return False


def test_a_lock_that_is_held_for_longer_than_a_minute(
    tmp_path: Path, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _server(tmp_path, monkeypatch) as url:
        over = threading.Event()
        writers = [threading.Thread(target=_keep_writing, args=(url, over)) for _ in range(CLIENTS)]
        for writer in writers:
            writer.start()
        try:
            _hold(local_files.prefect_home() / "prefect.db")
            released = time.monotonic()
            wait_until(lambda: all(_write(url) for _ in range(5)), WHOLE_SECONDS * 3)
            row.times, row.seconds = 1, time.monotonic() - released
            row.notes = [f"five writes in a row {row.seconds:.0f} s after the lock was released"]
        finally:
            over.set()
            for writer in writers:
                writer.join()
    assert row.seconds < WHOLE_SECONDS * 3


def _hold(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(HELD_SECONDS)
        other.execute("ROLLBACK")


def _keep_writing(url: str, over: threading.Event) -> Any:
    while not over.is_set():
        _write(url, 70.0)
