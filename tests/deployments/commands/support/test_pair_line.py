"""A pair in one line: its state with its colour, what was sent, and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forward_statuses import FAILING_NS, failing, pair, position

from blocks.store.forwarding.forward_status import GRACE_NS, HOUR_NS, PairStatus
from deployments.commands.support.pair_line import state_style, summary_line

if TYPE_CHECKING:
    from support.moving_clock import MovingClock


@pytest.mark.parametrize(
    ("one", "style"),
    [
        (pair(), "bold green"),
        (pair(position(waiting=1)), "bold green"),
        (pair(failing()), "bold yellow"),
        (pair(paused_ns=1), "bold yellow"),
        (pair(for_siem=False), "bold yellow"),
        (pair(deleted=True), "bold yellow"),
        (pair(failing(stopped=True)), "bold red"),
    ],
)
def test_a_state_has_a_colour(one: PairStatus, style: str) -> None:
    assert state_style(one) == style


def test_what_was_sent_is_the_sum_of_all_apis() -> None:
    assert summary_line(pair(position(sent=1000), position(sent=892))).plain == "soc  splunk  ok  1,892 sent"
    assert summary_line(pair()).plain == "soc  splunk  ok  0 sent"


def test_what_waits_is_as_old_as_its_oldest_event(moving: MovingClock) -> None:
    now_ns = moving.now_ns()
    waiting = (position(waiting=5, oldest_ns=now_ns - 48 * 10**9), position(waiting=7, oldest_ns=now_ns - 10**9))
    assert summary_line(pair(*waiting)).plain == "soc  splunk  waiting  0 sent, 12 waiting for 48 s"


def test_an_archive_says_when_it_can_write_its_file(moving: MovingClock) -> None:
    hour_ns = moving.now_ns() // HOUR_NS * HOUR_NS
    line = summary_line(pair(position(waiting=1, oldest_ns=hour_ns), kind="archive")).plain
    assert "until 2026-09-21T15:" in line.replace(" 15:", "T15:")
    assert line.endswith(", for a full file")
    assert GRACE_NS < HOUR_NS


def test_of_several_retries_the_first_is_shown() -> None:
    later, first = failing(retries_ns=FAILING_NS + 9 * 10**9), failing(api="sign-in", retries_ns=FAILING_NS + 10**9)
    assert summary_line(pair(later, first, position())).plain.endswith("; sign-in: attempt 3 by 22:13:21")
    unclaimed = failing(api="itemUsage")
    assert summary_line(pair(later, unclaimed)).plain.endswith("; itemUsage: attempt 3 now, or with the next run")
