"""Steps that may take long, off the main thread: so a signal is noticed at once, whatever hangs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_SECONDS = 0.05


class Step(Generic[T]):
    """One call in a daemon thread. A step that is abandoned keeps no process alive."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> T:
        """What the call returned; raises what it raised. Only once it is done."""
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _run(self) -> None:
        try:
            self._values.append(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error


def attend(call: Callable[[], T], is_over: Callable[[], bool], seconds: float = float("inf")) -> T | None:
    """The result of a call; None where `is_over` says so first, or so many seconds have passed."""
    step, deadline = Step(call), time.monotonic() + seconds
    while not step.is_done:
        if is_over() or time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return step.result()
