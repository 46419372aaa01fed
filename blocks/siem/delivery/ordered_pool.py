"""Several portions on their way at once, and what became of them in the order in which they were cut.

So a position moves over an unbroken range, and no more is sent twice after a kill than what was on its way then. After
an error it is less: what was done behind the item that failed is told of, too.
"""

from __future__ import annotations

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

In = TypeVar("In")
Out = TypeVar("Out")


class OrderedPool(Generic[In, Out]):
    """Runs `work` for each item, at most `parallel` at once.

    `announce` is called with all items that are on their way, or about to be, before any new one of them begins; and
    with the item that is done, and its outcome, where one is. Each item is done after all those before it. `leave` is
    called after a failure with those that are done and were not announced. `beat` is called now and then while nothing
    is done: whoever holds a claim renews it.
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
        self._leave = on_failure
        self._beat = heartbeat
        self._announce = on_progress
        self._parallel = max(parallel, 1)
        self.failed = threading.Event()
        """Set where an item has failed: what is still at work need not be patient with what puts it off."""

    def process(
        self, items: Iterator[In], *, until: Callable[[], bool] = lambda: False, first_alone: bool = False
    ) -> None:
        """Work through all items, or those begun when `until` says so. Raises what the first failed one raised.

        Then those before it are done, and those behind it that had begun have ended; `leave` knows which are done.
        `careful`: the first item goes alone, so that what has just failed does not cost those behind it another time.
        """
        under_way: deque[tuple[In, Future[Out]]] = deque()
        at_once = 1 if first_alone else self._parallel
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="forward") as pool:
            try:
                while True:
                    done = self._next(under_way)
                    at_once = at_once if done is None else self._parallel
                    behind = [item for item, _ in under_way][0 if done is None else 1 :]
                    fresh = [] if until() else self._fresh(items, at_once - len(behind))
                    if done is None and not fresh:
                        return
                    self._announce(done, behind + fresh)
                    if done is not None:  # until then it is one of those that are done and not told of
                        under_way.popleft()
                    under_way.extend((item, pool.submit(self._work, item)) for item in fresh)
            except BaseException:
                self._let_end([future for _, future in under_way])
                if ahead := [(item, future.result()) for item, future in under_way if _is_done(future)]:
                    self._leave(ahead)
                raise

    def _next(self, under_way: deque[tuple[In, Future[Out]]]) -> tuple[In, Out] | None:
        if not under_way:
            return None
        item, future = under_way[0]
        while not wait([future], HEARTBEAT_SECONDS).done:
            self._beat()
        return item, future.result()

    def _fresh(self, items: Iterator[In], most: int) -> list[In]:
        found: list[In] = []
        while len(found) < most and (item := next(items, None)) is not None:
            found.append(item)
        return found

    def _let_end(self, begun: Sequence[Future[Out]]) -> None:
        if not begun:
            return
        self.failed.set()
        running = [future for future in begun if not future.cancel()]
        while wait(running, HEARTBEAT_SECONDS).not_done:
            # What has failed is told of, not this; a lost claim shows at the next write.
            with suppress(SourceError):
                self._beat()


def _is_done(future: Future[Any]) -> bool:
    return not future.cancelled() and future.exception() is None
