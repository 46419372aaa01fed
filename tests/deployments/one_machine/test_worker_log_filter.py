"""What the terminal of `up` shows of its runs."""

from __future__ import annotations

import pytest

from deployments.one_machine.worker_log_filter import WorkerLogFilter, line_level

ENDED = "23:41:00.123 | collect {}: Finished in state Completed('{}')"
NEW = "Collected: 3 new events (sign-in 1, itemUsage 1, audit 1), the newest 2 min ago."
IDLE = "Collected: 0 new events (sign-in 0, itemUsage 0, audit 0), the newest 27 min ago."


def test_a_run_that_brought_something_is_shown_with_what_it_says() -> None:
    (line,) = WorkerLogFilter().lines(ENDED.format("1Pass", NEW), 0.0)
    assert line == f"23:41:00.123 collect 1Pass: {NEW}"


def test_of_runs_that_found_nothing_one_a_minute_is_shown_with_the_number_of_the_others() -> None:
    shown = WorkerLogFilter()
    found = [shown.lines(ENDED.format(f"s{second}", IDLE), float(second)) for second in range(125)]
    assert [second for second, lines in enumerate(found) if lines] == [0, 60, 120]
    assert found[0] == [f"23:41:00.123 collect s0: {IDLE}"]
    assert found[60][0].endswith("(Since the last such line 59 more runs have found nothing new.)")
    assert shown.lines(ENDED.format("1Pass", NEW), 126.0), "in between, too"


def test_what_needs_a_person_is_never_left_out() -> None:
    shown = WorkerLogFilter()
    shown.lines(ENDED.format("s0", IDLE), 0.0)
    for text in (
        "ThirdPartyConfigError: audit: The Events API refuses the token. 0 new events (sign-in 0).",
        "Collected: 0 new events (sign-in 0, itemUsage 0, audit 0); 2 put in quarantine.",
        "Collected: 0 new events (sign-in 0, itemUsage 0). audit: retrying since 2026-11-28T23:00:00Z in another run.",
    ):
        assert shown.lines(ENDED.format("s1", text), 1.0)
    broken = "23:41:00.123 | collect s1: Finished in state Failed('Flow run encountered an exception: KeyError')"
    assert shown.lines(broken, 1.0) == ["23:41:00.123 collect s1: Failed. Flow run encountered an exception: KeyError"]
    assert shown.lines("23:41:00.123 WARNING The state Started could not be shown in Prefect.", 1.0)
    assert shown.lines("Worker 'up' started!", 1.0)
    assert shown.lines("23:41:00.123 | collect s1: Beginning flow run", 1.0) == []


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (NEW, "info"),
        ("ThirdPartyConfigError: audit: The Events API refuses the token.", "error"),
        ("Skipped: another run collects it.", "info"),
    ],
)
def test_the_journal_gets_the_level_of_an_ended_run(text: str, level: str) -> None:
    (line,) = WorkerLogFilter().lines(ENDED.format("a: b", text), 0.0)
    assert line_level(line) == level


def test_a_warning_and_a_run_that_broke_have_their_levels() -> None:
    assert line_level("23:41:00.123 WARNING The state Started could not be shown in Prefect.") == "warning"
    assert line_level("23:41:00.123 collect s1: Failed. Flow run encountered an exception: KeyError") == "error"
    assert line_level("Worker 'up' started!") == "info"
