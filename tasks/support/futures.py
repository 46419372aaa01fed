"""Wait for submitted tasks.

Prefect's own `wait` is not used. With a timeout it interrupts the main thread by a signal at any instruction. Now and
then that happens while a lock is held ("release unlocked lock"), and the run fails.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prefect.futures import PrefectConcurrentFuture, PrefectFuture

T = TypeVar("T")

POLL_SECONDS = 0.5


def wait_for_some(readers: Iterable[PrefectFuture[T]], seconds: float) -> list[PrefectFuture[T]]:
    """The tasks that have ended, as soon as there is one; none after `seconds`."""
    threads = {cast("PrefectConcurrentFuture[Any]", reader).wrapped_future: reader for reader in readers}
    return [threads[one] for one in wait(threads, seconds, return_when=FIRST_COMPLETED).done]


def gather(readers: Mapping[str, PrefectFuture[T]], between: Callable[[], object]) -> dict[str, T | BaseException]:
    """The result or the exception of each task, by its key. `between` is called about twice a second.

    Tasks that wait for their next attempt cannot be woken. If a stop is requested and only such tasks are left, they
    are left out of the result, and the run ends without them.
    """
    running = list(readers.values())
    while running and not (stopping.requested.is_set() and stopping.waiting_readers() >= len(running)):
        ended = wait_for_some(running, POLL_SECONDS)
        running = [reader for reader in running if reader not in ended]
        between()
    return {key: reader.result(raise_on_failure=False) for key, reader in readers.items() if reader not in running}
