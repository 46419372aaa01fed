"""The time. Everything reads it here, so that a test can move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since 1970 in UTC."""

    def engine_delay(self, seconds: float) -> float:
        """The real seconds that Prefect's engine waits so that this clock moves on by `seconds`."""


class SystemClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def engine_delay(self, seconds: float) -> float:
        return seconds


clock: Clock = SystemClock()


def now_ns() -> int:
    return clock.now_ns()


def now() -> float:
    """Seconds since 1970 in UTC."""
    return clock.now_ns() / 1e9


def engine_delay(seconds: float) -> float:
    return clock.engine_delay(seconds)


def format_age(ns: int) -> str:
    """The time since then (ns since 1970) in words: `3 min`."""
    return format_span(max(now_ns() - ns, 0))


def format_span(span_ns: int) -> str:
    """A span of time in words, in the largest unit of which it has two or more: `3 min`, `2 h`."""
    seconds = span_ns / 1e9
    for unit, size, finer in (("d", 86400, 3600), ("h", 3600, 60), ("min", 60, 1)):
        # Rounded first: of a clock that is set ahead by two hours, 1 h 59 min 59.99 s are measured.
        if round(seconds / finer) * finer >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
