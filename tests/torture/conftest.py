"""Fixtures of the torture tests: the rows of the table, one `up` with its clock, a PostgreSQL server to kill."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import quick  # noqa: F401 - a fixture
from torture.file_clock import FileClock
from torture.network import jumping, start  # noqa: F401 - fixtures
from torture.outcome import Row
from torture.postgresql import Postgres
from torture.processes import HERE, Forks, Runs, Up
from torture.table import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The test's row of the table, to which the test writes its measurements."""
    made = Row(fault=request.node.name.removeprefix("test_").replace("_", " "))
    started = time.monotonic()
    yield made
    made.seconds = made.seconds or time.monotonic() - started


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make torture` runs the quick tests of this directory too, for its table."""
    if config.option.markexpr == "torture":
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker("torture")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    made = getattr(item, "funcargs", {}).get("row")
    if made is not None and call.when == "call":
        made.seconds = made.seconds or call.duration
        report.user_properties.append((PROPERTY, json.dumps(vars(made))))
    return report


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `up` with its own data directory; its runs use a clock that tests move."""
    directory = tmp_path_factory.mktemp("up")
    made = Up(directory, (), clock=FileClock.make(directory / "clock"))
    made.start()
    try:
        yield made
    finally:
        made.stop_if_running()


@pytest.fixture(scope="session")
def runs(up: Up) -> Iterator[Runs]:
    """Starts runs of the flow, each in its own process, with the server of `up`."""
    directory = up.directory / "runs"
    directory.mkdir()
    with Forks.of("runs", directory, {**up.env, "PREFECT_LOGGING_LEVEL": "WARNING"}) as forks:
        yield Runs(up, forks)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that tests may kill and stop."""
    # Not in pytest's directory: pytest denies it to other users, and root's PostgreSQL runs as one.
    with tempfile.TemporaryDirectory(prefix="pg-") as directory, Postgres.started(Path(directory)) as made:
        yield made
