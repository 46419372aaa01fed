"""Calls with a limit in time, even if something hangs in them: a name look-up, for example, cannot be ended.

Each call runs in a daemon thread. A caller that has waited long enough goes on and leaves the thread behind.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_SECONDS = 0.05


class StartedCall(Generic[T]):
    """One call, which begins at once."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: T
        self._error: BaseException | None = None
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float) -> T:
        """The value of the call. Raises what the call raised, or TimeoutError if it lasts longer than `seconds`.

        The limit counts from the start of the call, so several calls that run side by side share it.
        """
        return self.wait(self._started + seconds - time.monotonic())

    def wait(self, seconds: float) -> T:
        """As `result`, but the limit counts from now."""
        if not self.has_ended(seconds):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def has_ended(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end of the call."""
        self._thread.join(max(seconds, 0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised by `wait`
            self._error = error


class BoundedCall(Generic[T]):
    """A call that is made again and again, one at a time.

    A call that hangs is not made again until it has ended, so that threads do not pile up.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._current: StartedCall[T] | None = None

    @property
    def is_running(self) -> bool:
        return self._current is not None and self._current.is_running

    @property
    def is_idle(self) -> bool:
        """True if there is no result: nothing was started, or its result was taken."""
        return self._current is None

    def start(self) -> None:
        """Begin the call, unless an earlier one still hangs."""
        if not self.is_running:
            self._current = StartedCall(self._call)

    def result(self, seconds: float) -> T:
        """The value of the call. Raises what the call raised, or TimeoutError if it does not end within `seconds`."""
        started = self._current
        if started is None:
            raise RuntimeError("nothing was started")
        if not started.has_ended(seconds):
            raise TimeoutError
        self._current = None
        return started.wait(0)


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """The value of a call. Raises what it raised, or TimeoutError if it lasts longer than `seconds`."""
    return StartedCall(call).result(seconds)


def call_until(call: Callable[[], T], is_over: Callable[[], bool], seconds: float = float("inf")) -> T | None:
    """The value of a call, or None if `is_over` becomes true first or the limit has passed.

    The calling thread polls `is_over`, so it notices a signal at once, even if the call hangs.
    """
    started, deadline = StartedCall(call), time.monotonic() + seconds
    while started.is_running:
        if is_over() or time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return started.wait(0)
