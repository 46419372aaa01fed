"""Several portions on their way at once, and what became of them in the order in which they were cut.

So a position moves over an unbroken range, and no more is sent twice after a kill than what was on its way then.
"""

from __future__ import annotations

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

    def run(self, items: Iterator[In], *, until: Callable[[], bool] = lambda: False) -> None:
        """Work through all items, or those begun when `until` says so. Raises what the first failed one raised.

        Then those before it are done, and those behind it that had begun have ended, whatever came of them.
        """
        under_way: deque[tuple[In, Future[Out]]] = deque()
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="forward") as pool:
            try:
                while True:
                    done = self._next(under_way)
                    fresh = [] if until() else self._fresh(items, len(under_way))
                    if done is None and not fresh:
                        return
                    self._announce(done, [item for item, _ in under_way] + fresh)
                    under_way.extend((item, pool.submit(self._work, item)) for item in fresh)
            finally:
                for _, future in under_way:
                    future.cancel()

    def _next(self, under_way: deque[tuple[In, Future[Out]]]) -> tuple[In, Out] | None:
        if not under_way:
            return None
        item, future = under_way[0]
        while not wait([future], BEAT_SECONDS).done:
            self._beat()
        under_way.popleft()
        return item, future.result()

    def _fresh(self, items: Iterator[In], under_way: int) -> list[In]:
        found: list[In] = []
        while under_way + len(found) < self._parallel and (item := next(items, None)) is not None:
            found.append(item)
        return found
