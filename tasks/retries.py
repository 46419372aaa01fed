"""The 90-minute window: how long to wait before the next attempt, and when to give up.

Prefect asks `again` after each failed attempt and reads `task.retry_delay_seconds` right after it, so the answer may
set the delay. The task itself decides (it knows since when its stream has been failing) and leaves its decision in
the error's `retry_in`.
"""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE

from blocks import clock
from blocks.errors import ClaimLostError, SourceError, StoreVersionError, ThirdPartyConfigError
from tasks import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
T = TypeVar("T")

WINDOW_SECONDS = 90 * 60
SHORTEST, LONGEST = 2.0, 300.0  # seconds between attempts; the longest is a tick
ATTEMPTS = 2000  # more than the window can hold: time ends the retries, not their number
FINAL = (ThirdPartyConfigError, ClaimLostError, StoreVersionError)

_first_failures: dict[str, int] = {}
_first_errors: dict[str, SourceError] = {}


def next_wait(failing_since_ns: int, retry_after: float | None = None) -> float | None:
    """Seconds until the next attempt, or None when 90 minutes have passed since the first failure.

    Half of the time that it has been failing, with jitter: so the waits grow by themselves, also across processes,
    and the last attempt falls on the end of the window. A server that asks for a longer wait gets it.
    """
    failing = max((clock.now_ns() - failing_since_ns) / 1e9, 0.0)
    left = WINDOW_SECONDS - failing
    if left <= 0:
        return None
    wait = min(max(failing / 2, SHORTEST), LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    return max(min(wait, left), retry_after or 0.0)


def window_in_memory(key: str, error: SourceError) -> float | None:
    """The wait for a failure that the store does not remember, for one because it is the store that fails."""
    if isinstance(error, FINAL):
        return None
    return next_wait(_first_failures.setdefault(key, clock.now_ns()), getattr(error, "retry_after", None))


@contextmanager
def in_memory(key: str) -> Iterator[None]:
    """What fails within it has its window in memory: a step of the run as a whole, which no stream remembers."""
    if _is_in_main_thread():
        stopping.end_waiting()
    if (handed_over := _first_errors.pop(key, None)) is not None:
        raise handed_over
    try:
        yield
    except SourceError as error:
        error.retry_in = window_in_memory(key, error)
        raise
    forget(key)


def directly(step: Task[P, T], key: str, *arguments: P.args, **named: P.kwargs) -> T:
    """Do a step as a function, and hand over to its task only where it fails and is to be tried again.

    A task run costs more than most steps do: three events, some thirty rows. The task's first attempt is the one that
    failed here, so its wait and its window begin there. `key` is that of the step's `in_memory`.
    """
    try:
        return step.fn(*arguments, **named)
    except SourceError as error:
        if error.retry_in is None:
            raise
        _first_errors[key] = error
    return step(*arguments, **named)


def _is_in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def since_in_memory(key: str) -> int | None:
    return _first_failures.get(key)


def forget(key: str) -> None:
    _first_failures.pop(key, None)


def again(task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Prefect's question after a failed attempt. `task` must be a copy of its own for each call."""
    wait = getattr(state.data, "retry_in", None)
    if wait is None or (_is_in_main_thread() and not stopping.begin_to_wait(str(state.data))):
        return False
    task.retry_delay_seconds = clock.engine_delay(wait)  # type: ignore[assignment]  # any form of it is taken
    return True


OPTIONS: dict[str, Any] = {
    "retries": ATTEMPTS,
    "retry_delay_seconds": 1,  # `again` sets it, attempt by attempt; it must not be 0 before that
    "retry_condition_fn": again,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Of a task that is retried in this way."""
