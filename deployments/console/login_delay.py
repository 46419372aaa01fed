"""The delay after wrong passwords at the login of the console, for each address."""

from __future__ import annotations

import threading

from blocks import clock

FREE_TRIES = 3
"""So many wrong passwords from one address cost no delay."""
DELAY_MAX_SECONDS = 300.0
ADDRESSES_MAX = 10_000
"""More are not remembered at once: the oldest are forgotten."""


class LoginDelay:
    """Makes an address wait after wrong passwords: 1 s, 2 s, 4 s …, up to five minutes."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def seconds_left(self, address: str) -> float:
        """How long the address must wait until its next try."""
        with self._lock:
            return max(self._failures.get(address, (0, 0.0))[1] - clock.now(), 0.0)

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            count = self._failures.pop(address, (0, 0.0))[0] + 1
            delay = min(2.0 ** (count - FREE_TRIES), DELAY_MAX_SECONDS) if count >= FREE_TRIES else 0.0
            self._failures[address] = (min(count, 60), clock.now() + delay)
            while len(self._failures) > ADDRESSES_MAX:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        with self._lock:
            self._failures.pop(address, None)
