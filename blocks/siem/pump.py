"""Several portions on their way at once, and what became of them in the order in which they were cut.

So a position moves over an unbroken range, and no more is sent twice after a kill than what was on its way then.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

BEAT_SECONDS = 30.0

In = TypeVar("In")
Out = TypeVar("Out")


class Pump(Generic[In, Out]):
    """Runs `work` for each item, at most `parallel` at once.

    `announce` is called with all items that are on their way, or about to be, before any new one of them begins; and
    with the item that is done, and its outcome, where one is. Each item is done after all those before it. `beat` is
    called now and then while nothing is done: whoever holds a claim renews it.
    """

    def __init__(
        self,
        work: Callable[[In], Out],
        announce: Callable[[tuple[In, Out] | None, Sequence[In]], None],
        parallel: int,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._beat = beat
        self._announce = announce
        self._parallel = max(parallel, 1)
        self.broken = threading.Event()
        """Set where an item has failed: what is still at work need not be patient, for nobody looks at its outcome."""

    def run(self, items: Iterator[In], *, until: Callable[[], bool] = lambda: False, careful: bool = False) -> None:
        """Work through all items, or those begun when `until` says so. Raises what the first failed one raised.

        Then those before it are done, and those behind it that had begun have ended, whatever came of them.
        `careful`: the first item goes alone, so that what has just failed does not cost those behind it another time.
        """
        under_way: deque[tuple[In, Future[Out]]] = deque()
        at_once = 1 if careful else self._parallel
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="forward") as pool:
            try:
                while True:
                    done = self._next(under_way)
                    at_once = at_once if done is None else self._parallel
                    fresh = [] if until() else self._fresh(items, at_once - len(under_way))
                    if done is None and not fresh:
                        return
                    self._announce(done, [item for item, _ in under_way] + fresh)
                    under_way.extend((item, pool.submit(self._work, item)) for item in fresh)
            finally:
                self._let_end([future for _, future in under_way])

    def _next(self, under_way: deque[tuple[In, Future[Out]]]) -> tuple[In, Out] | None:
        if not under_way:
            return None
        item, future = under_way[0]
        while not wait([future], BEAT_SECONDS).done:
            self._beat()
        under_way.popleft()
        return item, future.result()

    def _fresh(self, items: Iterator[In], most: int) -> list[In]:
        found: list[In] = []
        while len(found) < most and (item := next(items, None)) is not None:
            found.append(item)
        return found

    def _let_end(self, begun: Sequence[Future[Out]]) -> None:
        if not begun:
            return
        self.broken.set()
        running = [future for future in begun if not future.cancel()]
        while wait(running, BEAT_SECONDS).not_done:
            self._beat()
