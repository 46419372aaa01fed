"""The state of the installation: versions, log files, disks, Prefect within bounds, and `up`."""

from __future__ import annotations

import os
import platform
import sys
import threading
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.prefect_server_state import FakeServer

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.store import schema
from deployments import deferred, up_health
from deployments.console import system_state
from deployments.console.system_state import PrefectState
from deployments.prefect_api.server_state import WorkerState
from deployments.up_health import FRESH_SECONDS, UpHealth

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path / "data"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(deferred, "server_state", fake, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", fake.state.url)
    return fake


def test_the_versions_are_those_of_this_program_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_state, "PACKAGES", ("onepassword-source", "prefect", "no-such-package"))
    assert system_state.versions() == [
        ("onepassword-source", version("onepassword-source")),
        ("prefect", version("prefect")),
        ("no-such-package", "unknown"),
        ("Python", platform.python_version()),
        ("schema of the store", schema.HEAD),
    ]


def test_log_files_have_their_sizes_by_name(data: Path) -> None:
    for name, size in (("worker.log", 3), ("server.log.1", 2), ("server.log", 1), ("server.log.2", 9), ("notes", 9)):
        (data / name).write_bytes(b"x" * size)
    assert system_state.log_files() == [("server.log", 1), ("server.log.1", 2), ("worker.log", 3)]


def test_a_log_file_that_cannot_be_read_hides_them_all(data: Path) -> None:
    (data / "server.log").touch()
    (data / "worker.log").symlink_to("nowhere")
    assert system_state.log_files() == []


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The places of which the free space is read; the first two have some."""
    seen: list[Path] = []

    def free_space(wanted: Sequence[Path]) -> list[tuple[Path, int]]:
        seen.extend(wanted)
        return [(wanted[0], 10), (wanted[1], 20)]

    monkeypatch.setattr(system_state, "free_space", free_space)
    return seen


def test_the_disks_are_those_of_the_store_the_data_and_the_program(
    data: Path, places: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'store' / 'events.db'}")
    assert system_state.disks() == [(str(tmp_path / "store"), 10), (str(data), 20)]
    assert places == [tmp_path / "store", data, Path(sys.prefix)]


def test_a_store_on_a_server_is_on_no_disk_of_this_machine(
    data: Path, places: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", "postgresql://db/events")
    system_state.disks()
    assert places == [data, Path(sys.prefix)]


def test_the_state_of_prefect_is_read_if_there_is_an_api(server: FakeServer) -> None:
    found = system_state.prefect_state(configured=True)
    assert found == PrefectState(server.state)
    assert (found.problem, found.online) == ("", 1)


@pytest.mark.parametrize(("configured", "url"), [(False, "http://127.0.0.1:1/api"), (True, ""), (True, None)])
def test_without_an_api_the_console_only_reads(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, *, configured: bool, url: str | None
) -> None:
    server.error = AssertionError("it was requested")
    if url is None:
        monkeypatch.delenv("PREFECT_API_URL")
    else:
        monkeypatch.setenv("PREFECT_API_URL", url)
    found = system_state.prefect_state(configured=configured)
    assert found == PrefectState(None, "No Prefect API is configured here, so this console only reads.")
    assert found.online == 0


def test_a_prefect_that_does_not_answer_is_a_problem(server: FakeServer) -> None:
    server.error = FirstPartyGenericError("The Prefect API does not answer.", hint="Start it.")
    assert system_state.prefect_state(configured=True) == PrefectState(
        None, "The Prefect API does not answer. Start it."
    )


def test_a_prefect_that_hangs_is_a_problem_in_time(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(system_state, "PREFECT_SECONDS", 0.01)
    monkeypatch.setattr(server, "read_state", lambda: over.wait(60))
    found = system_state.prefect_state(configured=True)
    over.set()
    assert found == PrefectState(None, "The Prefect API did not answer within 0 s.")


def test_another_error_is_none_of_prefects(server: FakeServer) -> None:
    server.error = ValueError("a defect")
    with pytest.raises(ValueError, match="a defect"):
        system_state.prefect_state(configured=True)


@pytest.mark.parametrize("online", [0, 1, 3])
def test_workers_that_are_online_are_counted(server: FakeServer, online: int) -> None:
    workers = [WorkerState(f"w{number}", online=number < online, seen_ns=1) for number in range(4)]
    assert PrefectState(replace(server.state, workers=tuple(workers))).online == online


@pytest.mark.parametrize(("age", "shown"), [(None, False), (0, True), (FRESH_SECONDS + 5, False)])
def test_up_is_that_of_the_data_directory_if_it_runs(data: Path, age: float | None, *, shown: bool) -> None:
    health = UpHealth(clock.now() - (age or 0), healthy=True, troubles=(), started=1)
    if age is not None:
        up_health.write(up_health.path(), health)
    assert system_state.up_state() == (health if shown else None)
    assert data.stat().st_mode & 0o777 == 0o700
    assert os.environ["ONEPASSWORD_SOURCE_DATA_DIR"] == str(data)
