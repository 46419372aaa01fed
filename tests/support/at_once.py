"""Run two functions in threads, and interleave their transactions at a function that the test patches."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 1.0  # seconds; a thread that the other one's transaction blocks does not reach the barrier


def meeting(real: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `real`: the threads wait here for each other, or for WAIT seconds if one is blocked elsewhere."""
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
    """Wrap `real`: its first call halts before (or `behind`) the real call while the other thread runs."""

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
        """Run `first` up to the halt, `by` until it ends or is blocked, then both to the end. Returns both results."""
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(first)
            assert self._halted.wait(30) or one.result(0)
            other = pool.submit(by)
            with suppress(TimeoutError):
                other.exception(WAIT)
            self._go_on.set()
            return [one.result(30), other.result(30)]
