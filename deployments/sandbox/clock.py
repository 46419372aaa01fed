"""The sandbox's own time: the real one, moved on by as much as a test asked for."""

from __future__ import annotations

from blocks import clock


class SandboxClock:
    """What growth, expiry of tokens, the rate windows and the default `start_time` go by."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        return clock.now_ns() + self._ahead_ns

    def advance(self, seconds: float) -> None:
        self._ahead_ns += int(seconds * 1e9)
