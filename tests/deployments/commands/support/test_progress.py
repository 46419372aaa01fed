"""The line of progress names the APIs that wait for their next attempt."""

from __future__ import annotations

from support.forward_statuses import FAILING_NS, failing, position

from deployments.commands.support.progress import retry_suffix


def test_the_end_of_a_progress_line_names_each_api_that_waits() -> None:
    until = FAILING_NS + 120 * 10**9
    waiting = [failing(retries_ns=until + 10**9), failing(api="sign-in", retries_ns=until), position(api="itemUsage")]
    assert retry_suffix(waiting) == (
        "; retrying audit (attempt 3), sign-in (attempt 3), waits until 22:15:20 UTC (Ctrl-C stops)"
    )
