"""The rate of a pair is measured between two reads of its counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.console.send_rates import SPAN_NS, SendRates

if TYPE_CHECKING:
    from support.moving_clock import MovingClock


def test_one_reading_gives_no_rate(moving: MovingClock) -> None:
    rates = SendRates()
    assert rates.measure("a", 10) is None
    moving.advance(1)
    assert rates.measure("a", 20) is None


def test_two_readings_give_events_a_minute(moving: MovingClock) -> None:
    rates = SendRates()
    rates.measure("a", 10)
    moving.advance(30)
    found = rates.measure("a", 70)
    assert found is not None
    assert (found.per_minute, found.over_ns) == (pytest.approx(120), pytest.approx(30 * 10**9))
    assert rates.measure("b", 70) is None


def test_old_readings_are_forgotten(moving: MovingClock) -> None:
    rates = SendRates()
    rates.measure("a", 0)
    moving.advance(SPAN_NS / 1e9 - 60)
    rates.measure("a", 600)
    moving.advance(120)
    found = rates.measure("a", 600)
    assert found is not None
    assert (found.per_minute, found.over_ns) == (0, pytest.approx(120 * 10**9))


def test_a_counter_that_begins_again_gives_no_rate(moving: MovingClock) -> None:
    rates = SendRates()
    rates.measure("a", 1000)
    moving.advance(30)
    assert rates.measure("a", 5) is None
