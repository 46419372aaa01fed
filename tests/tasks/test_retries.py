"""The 90-minute window, without a second of waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_clock import START_NS, MovingClock

from blocks import clock
from blocks.errors import ClaimLostError, FirstPartyGenericError, StoreVersionError, ThirdPartyConfigError
from tasks import retries

MINUTE = 60


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    own = MovingClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


def test_the_attempts_fill_90_minutes_and_the_last_falls_on_their_end(moving: MovingClock) -> None:
    waits = []
    while (wait := retries.next_wait(START_NS)) is not None:
        waits.append(wait)
        moving.advance(wait)
    assert sum(waits) == pytest.approx(90 * MINUTE, abs=0.001)
    assert 20 <= len(waits) <= 70
    assert max(waits) <= 5 * MINUTE
    assert waits[0] <= 2.0


def test_attempts_stay_far_below_what_the_api_allows(moving: MovingClock) -> None:
    first_minute = 0
    while moving.now_ns() < START_NS + 60 * 10**9:
        first_minute += 1
        moving.advance(retries.next_wait(START_NS) or 0)
    assert first_minute <= 25  # of 600, for each of three APIs


def test_another_process_goes_on_in_the_same_window(moving: MovingClock) -> None:
    moving.advance(89 * MINUTE)
    assert (retries.next_wait(START_NS) or 0) <= 60
    moving.advance(MINUTE)
    assert retries.next_wait(START_NS) is None


@given(after=st.floats(0, 3600), failing=st.floats(0, 90 * MINUTE - 1))
def test_a_server_that_asks_for_time_gets_it(after: float, failing: float) -> None:
    wait = retries.next_wait(clock.now_ns() - int(failing * 1e9), after)
    assert wait is not None
    assert wait >= after


def test_a_clock_that_went_back_does_not_make_the_wait_negative(moving: MovingClock) -> None:
    moving.advance(-3600)
    assert 0 < (retries.next_wait(START_NS) or 0) <= 2


@pytest.mark.parametrize("kind", [ThirdPartyConfigError, ClaimLostError, StoreVersionError])
def test_what_waiting_does_not_mend_is_not_tried_again(kind: type[FirstPartyGenericError]) -> None:
    assert retries.window_in_memory("key", kind("x")) is None


def test_the_window_of_a_store_that_fails_is_kept_in_memory(moving: MovingClock) -> None:
    error = FirstPartyGenericError("gone")
    assert retries.window_in_memory("a", error) is not None
    moving.advance(90 * MINUTE)
    assert retries.window_in_memory("a", error) is None
    assert retries.window_in_memory("b", error) is not None
    assert retries.since_in_memory("a") == START_NS
    retries.forget("a")
    assert retries.since_in_memory("a") is None
