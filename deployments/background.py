"""Work in a thread that its caller waits for only so long, such as a name look-up, which nothing can end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Background(Generic[T]):
    """Work in a thread of its own, which is left behind where it takes too long: nothing can end a name look-up."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: T
        self._error: BaseException | None = None
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> T:
        """What the work gave or raised. TimeoutError where it has not ended so many seconds after its start."""
        self._thread.join(max(self._started + seconds - time.monotonic(), 0))
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - it is raised again by `result`
            self._error = error


def within(seconds: float, work: Callable[[], T]) -> T:
    """What the work gives; TimeoutError where it takes longer."""
    return Background(work).result(seconds)
