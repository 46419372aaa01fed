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
from blocks.store.claims import LEASE_NS
from tasks import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
T = TypeVar("T")

WINDOW_SECONDS = 90 * 60
SHORTEST, LONGEST = 2.0, 300.0  # seconds between attempts; the longest is a tick
SHORTEST_OF_COPIES, LONGEST_OF_COPIES = 15.0, 900.0  # where each attempt may be another copy of the same events
ATTEMPTS = 2000  # more than the window can hold: time ends the retries, not their number
FINAL = (ThirdPartyConfigError, ClaimLostError, StoreVersionError)

_first_failures: dict[str, int] = {}
_rounds: dict[str, tuple[int, int]] = {}
_first_errors: dict[str, SourceError] = {}


def next_wait(failing_since_ns: int, retry_after: float | None = None, *, copies: bool = False) -> float | None:
    """Seconds until the next attempt, or None when 90 minutes have passed since the first failure.

    Half of the time that it has been failing, with jitter: so the waits grow by themselves, also across processes,
    and the last attempt falls on the end of the window. A server that asks for a longer wait gets it. `copies`: each
    attempt may be another copy of the same events, so each wait is as long as all before it: some 13 in 90 minutes.
    """
    failing = max((clock.now_ns() - failing_since_ns) / 1e9, 0.0)
    left = WINDOW_SECONDS - failing
    if left <= 0:
        return None
    if copies:
        wait = min(max(failing, SHORTEST_OF_COPIES), LONGEST_OF_COPIES) * random.uniform(0.8, 1.0)  # noqa: S311 - jitter, no secret
    else:
        wait = min(max(failing / 2, SHORTEST), LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311
    return max(min(wait, left), retry_after or 0.0)


def window_in_memory(key: str, error: SourceError) -> float | None:
    """The wait for a failure that the store does not remember, for one because it is the store that fails."""
    if isinstance(error, FINAL):
        return None
    now_ns = clock.now_ns()
    since_ns = _first_failures.get(key, now_ns)
    # One that lies ahead was noted before the clock was set back.
    _first_failures[key] = since_ns if since_ns <= now_ns + LEASE_NS else now_ns
    return next_wait(_first_failures[key], getattr(error, "retry_after", None))


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


def round_of(key: str, failing_since_ns: int) -> int:
    """Which failure of the same kind in a row this is: 1 for the first since the last progress, in this process."""
    since_ns, number = _rounds.get(key, (failing_since_ns, 0))
    number = number + 1 if since_ns == failing_since_ns else 1
    _rounds[key] = failing_since_ns, number
    return number


def _is_in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def since_in_memory(key: str) -> int | None:
    return _first_failures.get(key)


def forget(key: str) -> None:
    _first_failures.pop(key, None)
    _rounds.pop(key, None)


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
