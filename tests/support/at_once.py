"""Two transactions that meet, or overtake each other, at a place of the test's choice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 1.0  # seconds; who is held up by the other one's transaction does not come to the meeting


def meeting(real: Callable[..., Any]) -> Callable[..., Any]:
    """The same, once both have come that far, or one of them waits for the other elsewhere."""
    both = threading.Barrier(2)

    def met(*arguments: Any, **options: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            both.wait(WAIT)
        return real(*arguments, **options)

    return met


def at_once(first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        return [one.result(30) for one in [pool.submit(first), pool.submit(second)]]


class Halt:
    """The same; but its first call halts, before or `behind` what it does, until the other one is over or waits."""

    def __init__(self, real: Callable[..., Any], *, behind: bool = False) -> None:
        self._real = real
        self._behind = behind
        self._halted, self._go_on = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self._halted.is_set():
            return self._real(*arguments, **options)
        if not self._behind:
            self._stand()
        found = self._real(*arguments, **options)
        if self._behind:
            self._stand()
        return found

    def _stand(self) -> None:
        self._halted.set()
        self._go_on.wait(30)

    def overtaken(self, first: Callable[[], Any], by: Callable[[], Any]) -> list[Any]:
        """What both gave: `first` as far as here, `by` as far as it comes, then both to their ends."""
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            assert self._halted.wait(30) or one.result(0)
            other = pool.submit(by)
            with suppress(TimeoutError):
                other.exception(WAIT)
            self._go_on.set()
            return [one.result(30), other.result(30)]
