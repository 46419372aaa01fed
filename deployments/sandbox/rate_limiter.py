"""The rate windows of the Events API, per account: 600 requests in any minute, 30,000 in any hour."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestWindow:
    requests: int
    seconds: float


REAL_WINDOWS = (RequestWindow(600, 60.0), RequestWindow(30_000, 3600.0))


class RateLimiter:
    """Sliding windows. A rejected request does not count."""

    def __init__(self, windows: tuple[RequestWindow, ...]) -> None:
        self._windows = windows
        self._requests: dict[str, tuple[deque[int], ...]] = {}

    def set(self, windows: tuple[RequestWindow, ...]) -> None:
        self._windows = windows
        self._requests.clear()

    def allow(self, account: str, now_ns: int) -> bool:
        requests = self._requests.setdefault(account, tuple(deque() for _ in self._windows))
        for window, times in zip(self._windows, requests, strict=True):
            _forget(times, now_ns - int(window.seconds * 1e9))
        if any(len(times) >= window.requests for window, times in zip(self._windows, requests, strict=True)):
            return False
        for times in requests:
            times.append(now_ns)
        return True


def _forget(times: deque[int], before_ns: int) -> None:
    while times and times[0] <= before_ns:
        times.popleft()
