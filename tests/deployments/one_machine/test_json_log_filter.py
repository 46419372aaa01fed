"""Which lines of the worker's log of JSON the terminal of `up` shows."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.one_machine.json_log_filter import is_shown


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({"level": "info", "event": "collected", "source": "1Pass"}, True),
        ({"level": "warning", "event": "log", "message": "The state could not be shown."}, True),
        ({"level": "error", "event": "log"}, True),
        ({"level": "info", "event": "log", "run": "collect 1Pass", "message": "Finished in state Completed()"}, False),
        ({"level": "info", "event": "log", "run": "forward 1Pass", "message": "Finished in state Completed()"}, True),
        ({"level": "info", "event": "log", "run": "collect 1Pass", "message": "Beginning flow run"}, False),
        ({}, True),
    ],
)
def test_rounds_ends_of_other_runs_and_problems_are_shown(members: dict[str, Any], shown: bool) -> None:
    assert is_shown({"event": "log", **members} if members else {"event": "other"}) is shown
