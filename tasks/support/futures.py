"""Waiting for tasks that were submitted.

Not with Prefect's own `wait`: given a timeout it has a signal break the main thread off at whatever instruction it is,
once in a while within a lock ("release unlocked lock"), and the run dies of it.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.futures import PrefectConcurrentFuture, PrefectFuture

T = TypeVar("T")


def wait_for_some(readers: Iterable[PrefectFuture[T]], seconds: float) -> list[PrefectFuture[T]]:
    """Those that have ended, once there is one, or after so many seconds."""
    threads = {cast("PrefectConcurrentFuture[Any]", reader).wrapped_future: reader for reader in readers}
    return [threads[one] for one in wait(threads, seconds, return_when=FIRST_COMPLETED).done]
