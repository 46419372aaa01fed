"""What the Prefect server of one command writes to standard error, and when you see it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from prefect.server.api.server import SubprocessASGIServer

from deployments.one_machine import processes
from deployments.one_machine.temporary_server import GuardedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "Traceback of a request that was cut off"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedServer]:
    """One whose process only writes a line to standard error and ends."""
    code = f"import sys; print({LINE!r}, file=sys.stderr)"
    monkeypatch.setattr(processes, "command", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    made = GuardedServer(port=9)
    yield made
    made.stop()


def write(server: GuardedServer) -> None:
    server._run_uvicorn_command().communicate()


def test_a_traceback_of_the_server_is_shown_only_when_the_command_needs_it(
    server: GuardedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    write(server)
    assert capfd.readouterr().err == ""
    server.show_errors()
    assert capfd.readouterr().err == f"{LINE}\n"


def test_debug_shows_it_at_once(
    server: GuardedServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    write(server)
    assert LINE in capfd.readouterr().err
