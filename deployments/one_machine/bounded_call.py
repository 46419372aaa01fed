"""A call with a hard limit in time, whatever hangs in it: it runs in a thread of its own, and no one waits for that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_SECONDS = 0.05


class BoundedCall(Generic[T]):
    """One call at a time; one that hangs is not made again until it has ended, so that threads do not pile up."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._thread: threading.Thread | None = None
        self._value: T
        self._error: BaseException | None = None

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_idle(self) -> bool:
        """True if there is no result: nothing was started, or its result was taken."""
        return self._thread is None

    def start(self) -> None:
        """Begin the call, unless an earlier one still hangs."""
        if not self.is_running:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def result(self, seconds: float) -> T:
        """Its value. Raises what the call raised, or TimeoutError where it has not ended within `seconds`."""
        if self._thread is None:
            raise RuntimeError("nothing was started")
        self._thread.join(max(seconds, 0))
        if self._thread.is_alive():
            raise TimeoutError
        self._thread = None
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        self._error = None
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            self._error = error


def call_until(call: Callable[[], T], is_over: Callable[[], bool], seconds: float = float("inf")) -> T | None:
    """The result of a call; None where `is_over` says so first, or so many seconds have passed.

    The thread that calls this looks at `is_over` all the time, so a signal is noticed at once, whatever hangs.
    """
    step, deadline = BoundedCall(call), time.monotonic() + seconds
    step.start()
    while step.is_running:
        if is_over() or time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return step.result(0)
