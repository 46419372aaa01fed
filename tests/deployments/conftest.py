"""A real `up`, started once for all tests that need one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.one_machine import RunningUp

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def one_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    up = RunningUp(tmp_path_factory.mktemp("up"), ("1Pass",))
    try:
        yield up
    finally:
        up.stop_if_running()


@pytest.fixture
def running_up(one_up: RunningUp) -> RunningUp:
    """The one `up` of the session, started anew where the test before has stopped it."""
    if not one_up.is_running():
        one_up.start()
    return one_up


@pytest.fixture
def stopped_up(one_up: RunningUp) -> RunningUp:
    """The same, with its data, while it does not run."""
    one_up.stop_if_running()
    return one_up
