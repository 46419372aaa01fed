"""What tests of commands share: calls, a sandbox, a directory of their own, and a real `up`, started once for all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
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
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test, which holds its store too."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
