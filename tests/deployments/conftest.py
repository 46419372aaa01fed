"""What tests of commands share: calls, a sandbox, a directory of their own, and a real `up`, started once for all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import apply
from support.one_machine import RunningUp
from support.values import SOURCE

from blocks.store import sources
from blocks.store.engine import open_engine
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from deployments.sandbox.process import SandboxProcess


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    return CommandCalls(capsys)


@pytest.fixture(scope="module")
def api() -> Iterator[SandboxProcess]:
    """A sandbox that holds ten events of each API."""
    with running_sandbox(events=30, days=1) as running:
        yield running


@pytest.fixture
def store(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A store with SOURCE, of which nothing is collected; it is the store of the environment."""
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    url = f"sqlite:///{tmp_path / 'events.db'}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    opened = open_engine(url)
    sources.save(opened, SOURCE)
    yield opened
    opened.dispose()


@pytest.fixture
def url(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty store, which is the store of the environment."""
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'events.db')}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    return url


@pytest.fixture
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test, which holds its store too."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clean_sandbox(own_directory: Path, api: SandboxProcess) -> Iterator[None]:
    """A directory of the test's own, and a sandbox that has no faults afterwards."""
    yield
    api.clear_faults()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of a source, which no other test has."""
    return str(request.node.name).removeprefix("test_")[:30] + request.node.name[-6:]


@pytest.fixture
def applied_source(name: str, call: CommandCalls, api: SandboxProcess) -> str:
    """A source that was applied, and never run."""
    apply(call, name, api)
    return name


@pytest.fixture(scope="session")
def one_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    up = RunningUp(tmp_path_factory.mktemp("up"), ("1Pass",))
    try:
        yield up
    finally:
        up.stop_if_running()


@pytest.fixture
def running_up(one_up: RunningUp) -> RunningUp:
    """The one `up` of the session, started again if the test before stopped it."""
    if not one_up.is_running():
        one_up.start()
    return one_up


@pytest.fixture
def stopped_up(one_up: RunningUp) -> RunningUp:
    """The same, with its data, while it does not run."""
    one_up.stop_if_running()
    return one_up
