"""A pool with several batches in flight that reports their outcomes in the order in which they were cut.

Because of the order, a position moves over an unbroken range. After a kill, only the batches that were in flight are
sent again. After an error it is less: the batches acknowledged behind the failed one are reported, too.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from blocks.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

HEARTBEAT_SECONDS = 30.0
HEAPS_MAX = 2
_M_ARENA_MAX = -8  # of glibc's malloc.h

In = TypeVar("In")
Out = TypeVar("Out")


class OrderedPool(Generic[In, Out]):
    """Runs `work` for each item, at most `parallel` at once, and reports the outcomes in order.

    `on_progress(finished, in_flight)` is called before new items begin, and when the oldest item is finished: with
    that item and its outcome (or None), and with all items that are in flight or about to be. `on_failure` is called
    after a failure, with the items that are finished and were not reported. `heartbeat` is called every
    HEARTBEAT_SECONDS while nothing finishes, so that the holder of a claim can renew it.
    """

    def __init__(
        self,
        work: Callable[[In], Out],
        on_progress: Callable[[tuple[In, Out] | None, Sequence[In]], None],
        parallel: int,
        heartbeat: Callable[[], None] = lambda: None,
        on_failure: Callable[[Sequence[tuple[In, Out]]], None] = lambda _: None,
    ) -> None:
        self._work = work
        self._on_failure = on_failure
        self._heartbeat = heartbeat
        self._on_progress = on_progress
        self._parallel = max(parallel, 1)
        self.failed = threading.Event()
        """Set after an item failed. Work that is still in flight should not wait for a retry."""

    def process(
        self, items: Iterator[In], *, until: Callable[[], bool] = lambda: False, first_alone: bool = False
    ) -> None:
        """Process all items, or those begun when `until` returns True. Raises the error of the first failed item.

        When this raises, the items before the failed one are reported, and those behind it that had begun have ended.
        `first_alone`: the first item runs alone, so that an item which has just failed does not cost the others
        another attempt.
        """
        in_flight: deque[tuple[In, Future[Out]]] = deque()
        parallel = 1 if first_alone else self._parallel
        limit_heaps()
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="forward") as pool:
            try:
                while True:
                    finished = self._wait_for_oldest(in_flight)
                    parallel = parallel if finished is None else self._parallel
                    others = [item for item, _ in in_flight][0 if finished is None else 1 :]
                    new = [] if until() else self._take(items, parallel - len(others))
                    if finished is None and not new:
                        return
                    self._on_progress(finished, others + new)
                    # Only now: if on_progress raises, on_failure must still report this item.
                    if finished is not None:
                        in_flight.popleft()
                    in_flight.extend((item, pool.submit(self._work, item)) for item in new)
            except BaseException:
                self._drain([future for _, future in in_flight])
                if unreported := [(item, future.result()) for item, future in in_flight if _is_successful(future)]:
                    self._on_failure(unreported)
                raise

    def _wait_for_oldest(self, in_flight: deque[tuple[In, Future[Out]]]) -> tuple[In, Out] | None:
        if not in_flight:
            return None
        item, future = in_flight[0]
        while not wait([future], HEARTBEAT_SECONDS).done:
            self._heartbeat()
        return item, future.result()

    def _take(self, items: Iterator[In], most: int) -> list[In]:
        taken: list[In] = []
        while len(taken) < most and (item := next(items, None)) is not None:
            taken.append(item)
        return taken

    def _drain(self, begun: Sequence[Future[Out]]) -> None:
        """Cancel what has not begun, and wait for the rest."""
        if not begun:
            return
        self.failed.set()
        running = [future for future in begun if not future.cancel()]
        while wait(running, HEARTBEAT_SECONDS).not_done:
            # The first error is the one to raise. A claim that is lost meanwhile shows at the next write.
            with suppress(SourceError):
                self._heartbeat()


def _is_successful(future: Future[Any]) -> bool:
    return not future.cancelled() and future.exception() is None


def limit_heaps() -> None:
    """Let the threads of this process share two heaps. By default glibc makes up to eight for each core.

    Each thread has requests of some megabytes, and a heap keeps what it once had: up to a quarter of the process.
    Does nothing with another C library, or where the environment says how many there are (MALLOC_ARENA_MAX).
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, HEAPS_MAX)
