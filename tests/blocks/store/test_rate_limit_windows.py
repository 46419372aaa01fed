"""One budget for all who share a store: threads, processes, pauses; on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks.events_api.rate_limit import Grant, RateWindow
from blocks.store import rate_limit_windows, sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]

WINDOWS = (RateWindow(10, 6.0), RateWindow(30, 60.0))
NS = 10**9

# Takes what it gets for some seconds, and prints when it was granted.
TAKER = """
import sys, time
from blocks import clock
from blocks.events_api.rate_limit import RateWindow
from blocks.store import rate_limit_windows
from blocks.store.engine import open_engine
class RecordingClock(clock.SystemClock):
    def now_ns(self):
        self.last = super().now_ns()
        return self.last
clock.clock = recorder = RecordingClock()
engine = open_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
end = time.time() + float(sys.argv[2])
while (now := time.time()) < end:
    granted = rate_limit_windows.acquire(engine, "account/A", (RateWindow(60, 1.0),), 1)
    if granted.count:
        print(recorder.last)
    else:
        time.sleep(min(granted.wait_ns / 1e9, end - now if end > now else 0))
"""


def take(engine: Engine, count: int = 1, share: float = 1.0, key: str = "account/A") -> Grant:
    return rate_limit_windows.acquire(engine, key, WINDOWS, count, share)


def test_what_is_taken_counts_until_it_has_left_the_window(engine: Engine, moving: MovingClock) -> None:
    assert take(engine, 4) == Grant(4)
    assert take(engine, 100) == Grant(6)
    denied = take(engine)
    assert denied.count == 0
    assert 6 * NS < denied.wait_ns <= 6.2 * NS
    moving.advance(denied.wait_ns / NS)
    assert take(engine, 100) == Grant(10)


def test_each_account_has_its_own(engine: Engine) -> None:
    assert take(engine, 100).count == 10
    assert take(engine, 100, key="account/B").count == 10


def test_a_share_gives_way(engine: Engine) -> None:
    assert take(engine, 100, 0.5) == Grant(5)
    assert take(engine, 100) == Grant(5)
    assert take(engine, 100, 0.5).count == 0


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_shorten_it(engine: Engine, moving: MovingClock) -> None:
    rate_limit_windows.pause(engine, "account/A", 30)
    rate_limit_windows.pause(engine, "account/A", 5)
    assert take(engine) == Grant(0, 30 * NS)
    assert take(engine, key="account/B") == Grant(1)
    moving.advance(30)
    assert take(engine) == Grant(1)


def test_a_pause_that_was_ordered_before_the_clock_was_set_back_delays_no_run(
    engine: Engine, moving: MovingClock
) -> None:
    rate_limit_windows.pause(engine, "account/A", 60)
    moving.advance(-7200)
    assert take(engine).count == 1
    rate_limit_windows.pause(engine, "account/A", 5)
    assert take(engine).wait_ns == 5 * NS


def test_a_request_that_took_long_counts_from_its_answer(engine: Engine, moving: MovingClock) -> None:
    granted = take(engine, 10)
    moving.advance(5)
    for _ in range(2):
        rate_limit_windows.count_late_response(engine, "account/A", WINDOWS, granted.at_ns)
    moving.advance(1.5)
    assert take(engine, 100) == Grant(8), "two still count, for they may have been counted five seconds later"
    moving.advance(5)
    assert take(engine, 100) == Grant(2)


def test_sources_of_one_account_share_it_and_until_it_is_known_a_source_is_alone(engine: Engine) -> None:
    other = replace(SOURCE, id="f" * 32, name="another")
    for one in (SOURCE, other):
        sources.save(engine, one)
        assert rate_limit_windows.key_of(engine, one.id) == f"source/{one.id}"
        sources.save_introspection(engine, one.id, frozenset(), "ACCOUNT")
    assert {rate_limit_windows.key_of(engine, one.id) for one in (SOURCE, other)} == {"account/ACCOUNT"}


@pytest.mark.processes
def test_processes_that_ask_at_full_speed_get_all_of_it_and_no_more(store_url: str) -> None:
    command = [sys.executable, "-c", TAKER, store_url, "3"]
    takers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for taker in takers:
        assert taker.stdout
        assert taker.stdout.readline() == "ready\n"
    outputs = [taker.communicate("go\n", timeout=60)[0].split() for taker in takers]
    times = sorted(int(time) for one in outputs for time in one)
    most = max(bisect_right(times, at + NS - 1) - number for number, at in enumerate(times))
    assert most <= 60
    # 3 s at full speed with windows of up to 62 cells.
    assert len(times) >= 0.95 * 3 * 60 * 60 / 62
    assert all(one for one in outputs), "no process starved"


def test_what_was_spent_before_the_account_was_known_counts_for_it(engine: Engine, moving: MovingClock) -> None:
    sources.save(engine, SOURCE)
    before = rate_limit_windows.key_of(engine, SOURCE.id)
    assert rate_limit_windows.acquire(engine, before, WINDOWS, 4).count == 4
    sources.save_introspection(engine, SOURCE.id, frozenset(), "ACCOUNT")
    after = rate_limit_windows.key_of(engine, SOURCE.id)
    assert after != before
    assert rate_limit_windows.acquire(engine, after, WINDOWS, 3).count == 3, "another source of the account"
    rate_limit_windows.carry_over(engine, before, after)
    assert rate_limit_windows.acquire(engine, after, WINDOWS, 9).count == 3
    rate_limit_windows.carry_over(engine, before, after)
    moving.advance(6.3)
    assert rate_limit_windows.acquire(engine, after, WINDOWS, 99).count == 10, "and no longer than others"
