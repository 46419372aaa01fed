"""The time of the sandbox: the real time, moved ahead on request of a test."""

from __future__ import annotations

from blocks import clock


class SandboxClock:
    """The clock of growth, token expiry, rate windows and the default `start_time`."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        return clock.now_ns() + self._ahead_ns

    def advance(self, seconds: float) -> None:
        self._ahead_ns += int(seconds * 1e9)
