"""The delay after wrong passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.console.login_delay import DELAY_MAX_SECONDS, LoginDelay

if TYPE_CHECKING:
    from support.moving_clock import MovingClock


def test_wrong_passwords_delay_the_address_longer_and_longer(moving: MovingClock) -> None:
    delay, waits = LoginDelay(), []
    for _ in range(14):
        delay.failed("10.0.0.1")
        waits.append(delay.seconds_left("10.0.0.1"))
    assert waits[:2] == [0, 0]
    assert waits[2:5] == pytest.approx([1, 2, 4], abs=0.1)
    assert waits[-1] == pytest.approx(DELAY_MAX_SECONDS, abs=0.1)
    assert delay.seconds_left("10.0.0.2") == 0
    moving.advance(DELAY_MAX_SECONDS + 1)
    assert delay.seconds_left("10.0.0.1") == 0


def test_the_right_password_ends_the_delay(moving: MovingClock) -> None:
    delay = LoginDelay()
    for _ in range(4):
        delay.failed("10.0.0.1")
    moving.advance(10)
    delay.succeeded("10.0.0.1")
    delay.failed("10.0.0.1")
    assert delay.seconds_left("10.0.0.1") == 0


def test_addresses_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.console.login_delay.ADDRESSES_MAX", 10)
    delay = LoginDelay()
    for number in range(100):
        delay.failed(f"10.0.0.{number}")
    assert len(delay._failures) == 10
