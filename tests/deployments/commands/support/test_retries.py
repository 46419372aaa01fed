"""Retries in words: which attempt failed, when the next one is due, and when retries end."""

from __future__ import annotations

import pytest
from support.forward_statuses import FAILING_NS, failing, position

from blocks.store.forwarding.forward_status import PositionStatus
from deployments.commands.support.progress import retry_suffix
from deployments.commands.support.retries import next_attempt, retry_line


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
