"""Retries in words: which attempt failed, when the next one is due, and when retries end."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.store.forwarding.forward_status import PositionStatus
from deployments.commands.support.pair_view import position_state
from deployments.commands.support.progress import retry_suffix
from deployments.commands.support.retries import next_attempt, retry_line

FAILING_NS = 1_700_000_000 * 10**9  # 22:13:20 UTC


def position(**members: Any) -> PositionStatus:
    unset = dict.fromkeys(("oldest_ns", "progress_ns", "failing_since_ns", "error_type", "error_message"))
    counts = {"sent": 0, "filtered": 0, "rejected": 0, "waiting": 0, "stopped": False}
    return PositionStatus(**{"api": "audit", **counts, **unset, **members})


def failing(**members: Any) -> PositionStatus:
    times = {"failing_since_ns": FAILING_NS, "error_ns": FAILING_NS + 60 * 10**9}
    return position(**{**times, "failed_attempts": 2, "error_type": "ThirdPartyGenericError", **members})


def test_a_failing_position_says_when_it_is_tried_and_when_retries_end() -> None:
    waiting = failing(retries_ns=FAILING_NS + 120 * 10**9)
    assert retry_line(waiting) == (
        "audit: failing since 22:13:20, attempt 2 failed at 22:14:20, attempt 3 by 22:15:20, "
        "gives up 23:43:20, if no attempt succeeds (UTC)."
    )


def test_without_a_waiting_run_the_next_run_tries() -> None:
    assert next_attempt(failing()) == "3 now, or with the next run"


@pytest.mark.parametrize("one", [position(), failing(stopped=True), failing(error_type="ThirdPartyConfigError")])
def test_what_is_not_retried_has_no_line(one: PositionStatus) -> None:
    assert retry_line(one) is None
    assert retry_suffix([one]) == ""


def test_the_end_of_a_progress_line_names_each_api_that_waits() -> None:
    until = FAILING_NS + 120 * 10**9
    waiting = [failing(retries_ns=until + 10**9), failing(api="sign-in", retries_ns=until), position(api="itemUsage")]
    assert retry_suffix(waiting) == (
        "; retrying audit (attempt 3), sign-in (attempt 3), waits until 22:15:20 UTC (Ctrl-C stops)"
    )


@pytest.mark.parametrize(
    ("one", "state"), [(position(), "ok"), (failing(), "retrying"), (failing(stopped=True), "in error")]
)
def test_the_state_of_a_position(one: PositionStatus, state: str) -> None:
    assert position_state(one) == state
