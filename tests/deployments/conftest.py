"""A real `up`, started once for all tests that only look at it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from one_machine import RunningUp

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    before = time.monotonic()
    up = RunningUp.start(tmp_path_factory.mktemp("up"), "1Pass")
    try:
        up.wait_for("Log in with")
        up.seconds["server"] = time.monotonic() - before
        up.wait_for("started!")
        up.seconds["worker"] = time.monotonic() - before - up.seconds["server"]
        yield up
    finally:
        up.stop()
