"""The 90-minute window, without a second of waiting."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.moving_clock import START_NS, MovingClock

from blocks import clock
from blocks.errors import (
    ClaimLostError,
    FirstPartyGenericError,
    SourceError,
    StoreVersionError,
    ThirdPartyConfigError,
)
from tasks import attempts

pytestmark = pytest.mark.usefixtures("moving")

MINUTE = 60


def test_the_attempts_fill_90_minutes_and_the_last_falls_on_their_end(moving: MovingClock) -> None:
    waits = []
    while (wait := attempts.next_wait(START_NS)) is not None:
        waits.append(wait)
        moving.advance(wait)
    assert sum(waits) == pytest.approx(90 * MINUTE, abs=0.001)
    assert 20 <= len(waits) <= 70
    assert max(waits) <= 5 * MINUTE
    assert waits[0] <= 2.0


def test_where_each_attempt_may_be_a_copy_there_are_few_and_the_waits_grow(moving: MovingClock) -> None:
    waits = []
    while (wait := attempts.next_wait(START_NS, may_duplicate=True)) is not None:
        waits.append(wait)
        moving.advance(wait)
    assert sum(waits) == pytest.approx(90 * MINUTE, abs=0.001)
    assert sum(sum(waits[: n + 1]) < 10 * MINUTE for n in range(len(waits))) <= 7
    assert len(waits) <= 15
    assert max(waits) <= 15 * MINUTE


def test_a_first_failure_in_memory_that_lies_ahead_since_the_clock_was_set_back_is_now(moving: MovingClock) -> None:
    error = FirstPartyGenericError("x")
    attempts.retry_wait_in_memory("set back", error)
    moving.advance(-7200)
    attempts.retry_wait_in_memory("set back", error)
    assert attempts.failing_since_ns("set back") == moving.now_ns()
    attempts.forget("set back")


class Step:
    """What `directly` wants of a Prefect task: the function, and a call that is a task run."""

    def __init__(self, *errors: SourceError | None) -> None:
        self._errors = iter(errors)
        self.attempts = 0
        self.task_runs = 0

    def fn(self) -> str:
        with attempts.attempt_in_memory("key"):
            self.attempts += 1
            if error := next(self._errors, None):
                raise error
            return "done"

    def __call__(self) -> str:
        """As Prefect does: attempt after attempt, while one says when the next is due."""
        self.task_runs += 1
        while True:
            try:
                return self.fn()
            except SourceError as error:
                if error.retry_in is None:
                    raise
                clock.clock.advance(error.retry_in)  # type: ignore[attr-defined]


def do(step: Step) -> str:
    return attempts.run_inline(cast("Any", step), "key")


def test_a_step_that_succeeds_is_no_task_run() -> None:
    step = Step()
    assert (do(step), step.attempts, step.task_runs) == ("done", 1, 0)


def test_a_step_that_fails_for_good_is_no_task_run() -> None:
    step = Step(ThirdPartyConfigError("wrong"))
    with pytest.raises(ThirdPartyConfigError):
        do(step)
    assert (step.attempts, step.task_runs) == (1, 0)


def test_a_step_that_is_to_be_tried_again_waits_as_a_task_and_is_not_done_twice_at_once() -> None:
    step = Step(FirstPartyGenericError("busy"))
    assert (do(step), step.attempts, step.task_runs) == ("done", 2, 1)
    assert clock.now_ns() > START_NS, "it has waited before the second attempt"
    assert attempts.failing_since_ns("key") is None


def test_the_90_minutes_of_a_step_begin_with_its_first_attempt() -> None:
    step = Step(*(FirstPartyGenericError("busy") for _ in range(1000)))
    with pytest.raises(FirstPartyGenericError):
        do(step)
    assert (clock.now_ns() - START_NS) / 1e9 == pytest.approx(90 * MINUTE, abs=0.001)
    attempts.forget("key")


def test_attempts_stay_far_below_what_the_api_allows(moving: MovingClock) -> None:
    first_minute = 0
    while moving.now_ns() < START_NS + 60 * 10**9:
        first_minute += 1
        moving.advance(attempts.next_wait(START_NS) or 0)
    assert first_minute <= 25  # of 600, for each of three APIs


def test_another_process_goes_on_in_the_same_window(moving: MovingClock) -> None:
    moving.advance(89 * MINUTE)
    assert (attempts.next_wait(START_NS) or 0) <= 60
    moving.advance(MINUTE)
    assert attempts.next_wait(START_NS) is None


@given(after=st.floats(0, 3600), failing=st.floats(0, 90 * MINUTE - 1))
def test_a_server_that_asks_for_time_gets_it(after: float, failing: float) -> None:
    wait = attempts.next_wait(clock.now_ns() - int(failing * 1e9), after)
    assert wait is not None
    assert wait >= after


def test_a_clock_that_went_back_does_not_make_the_wait_negative(moving: MovingClock) -> None:
    moving.advance(-3600)
    assert 0 < (attempts.next_wait(START_NS) or 0) <= 2


@pytest.mark.parametrize("kind", [ThirdPartyConfigError, ClaimLostError, StoreVersionError])
def test_what_waiting_does_not_mend_is_not_tried_again(kind: type[FirstPartyGenericError]) -> None:
    assert attempts.retry_wait_in_memory("key", kind("x")) is None


def test_the_window_of_a_store_that_fails_is_kept_in_memory(moving: MovingClock) -> None:
    error = FirstPartyGenericError("gone")
    assert attempts.retry_wait_in_memory("a", error) is not None
    moving.advance(90 * MINUTE)
    assert attempts.retry_wait_in_memory("a", error) is None
    assert attempts.retry_wait_in_memory("b", error) is not None
    assert attempts.failing_since_ns("a") == START_NS
    attempts.forget("a")
    assert attempts.failing_since_ns("a") is None
