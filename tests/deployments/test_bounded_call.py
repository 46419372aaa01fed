"""Calls with a limit in time: what they return and raise, and what happens if they hang."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from deployments.bounded_call import BoundedCall, StartedCall, call_until, call_within

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """A call that waits for this event hangs until the test ends."""
    event = threading.Event()
    yield event
    event.set()


def test_the_value_of_a_call_comes_back() -> None:
    assert call_within(5, lambda: 42) == 42
    assert call_until(lambda: 42, lambda: False) == 42


def test_an_error_of_a_call_is_raised_in_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        call_within(5, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call_until(lambda: 1 / 0, lambda: False)


def test_a_call_that_hangs_ends_with_its_limit(hanging: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        call_within(0.01, hanging.wait)
    assert call_until(hanging.wait, lambda: False, 0.01) is None


def test_a_call_that_hangs_ends_when_its_caller_has_another_reason(hanging: threading.Event) -> None:
    over = iter([False, True])
    assert call_until(hanging.wait, lambda: next(over)) is None


def test_calls_side_by_side_share_a_limit_that_counts_from_their_start(hanging: threading.Event) -> None:
    calls = [StartedCall(hanging.wait) for _ in range(5)]
    before = time.monotonic()
    for call in calls:
        with pytest.raises(TimeoutError):
            call.result(0.2)
    assert time.monotonic() - before < 0.9, "five limits of 0.2 s one after the other would take 1 s"


def test_a_repeated_call_that_hangs_is_not_made_again_until_it_has_ended(hanging: threading.Event) -> None:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        hanging.wait()
        return "done"

    repeated = BoundedCall(call)
    assert repeated.is_idle
    repeated.start()
    with pytest.raises(TimeoutError):
        repeated.result(0.01)
    repeated.start()
    assert (calls, repeated.is_running, repeated.is_idle) == ([1], True, False)
    hanging.set()
    assert repeated.result(5) == "done"
    assert repeated.is_idle
    repeated.start()
    assert repeated.result(5) == "done"
    assert calls == [1, 1]


def test_a_timeout_that_the_call_itself_raises_is_its_result() -> None:
    def call() -> None:
        raise TimeoutError("of the call")

    repeated = BoundedCall(call)
    repeated.start()
    with pytest.raises(TimeoutError, match="of the call"):
        repeated.result(5)
    assert repeated.is_idle


def test_a_result_without_a_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nothing was started"):
        BoundedCall(lambda: 1).result(1)
