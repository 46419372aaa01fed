"""A clock that tests advance. Waits end once it has advanced far enough; nothing sleeps in real time."""

from __future__ import annotations

import threading

START_NS = 1_790_000_000 * 10**9


class MovingClock:
    """`engine_delay` blocks until the clock has advanced by the delay, and returns a very short one for Prefect."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._moved = threading.Condition()
        self._sleepers: list[int] = []

    def now_ns(self) -> int:
        with self._moved:
            return self._now_ns

    def advance(self, seconds: float) -> None:
        with self._moved:
            self._now_ns += int(seconds * 1e9)
            self._moved.notify_all()

    def engine_delay(self, seconds: float) -> float:
        with self._moved:
            until = self._now_ns + int(seconds * 1e9)
            self._sleepers.append(until)
            self._moved.notify_all()
            try:
                if not self._moved.wait_for(lambda: self._now_ns >= until, timeout=120):
                    raise TimeoutError("the clock was not moved")
            finally:
                self._sleepers.remove(until)
        return 0.001

    def sleepers(self) -> int:
        with self._moved:
            return len(self._sleepers)

    def next_wake_ns(self) -> int | None:
        """When the first sleeper wakes; None without sleepers."""
        with self._moved:
            return min(self._sleepers, default=None)

    def wait_for_sleepers(self, number: int, timeout: float = 60) -> None:
        """Wait in real time until so many threads wait for the clock."""
        with self._moved:
            assert self._moved.wait_for(lambda: len(self._sleepers) >= number, timeout=timeout)
