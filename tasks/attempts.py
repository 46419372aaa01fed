"""Attempts at a step: one is made and judged, what came of it is recorded, and it is retried for up to 90 minutes.

Prefect calls `again` after each failed attempt and reads `task.retry_delay_seconds` right after it, so `again` may
set the delay. The task itself decides (it knows since when its stream has been failing) and leaves its decision in
the error's `retry_in`.
"""

from __future__ import annotations

import random
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from prefect import get_run_logger
from prefect.cache_policies import NO_CACHE

from blocks import clock
from blocks.errors import (
    ClaimLostError,
    FirstPartyGenericError,
    SourceError,
    StoreVersionError,
    ThirdPartyConfigError,
    UnexpectedError,
)
from blocks.store.claims import LEASE_NS
from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
T = TypeVar("T")

WINDOW_SECONDS = 90 * 60
SHORTEST, LONGEST = 2.0, 300.0  # seconds between attempts; the longest is a tick
SHORTEST_OF_COPIES, LONGEST_OF_COPIES = 15.0, 900.0  # where each attempt may be another copy of the same events
ATTEMPTS = 2000  # more than the window can hold: time ends the retries, not their number
FINAL = (ThirdPartyConfigError, ClaimLostError, StoreVersionError, UnexpectedError)

_first_failures: dict[Hashable, int] = {}
_first_errors: dict[Hashable, SourceError] = {}


class Record(Protocol):
    """Where the store keeps what became of the attempts at a claim. Raises what the store raises."""

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        """Record a failed attempt. `since_ns`, and what it returns: since when attempts have been failing, in ns."""

    def wait(self, error: SourceError, seconds: float) -> None:
        """Keep the claim until the next attempt is over."""

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        """Record that no further attempt is made in this run, report it as a health event, and release the claim.

        `noted`: `fail` has counted the attempt already.
        """


def _never(_error: SourceError, _record: Record) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Repeats:
    """What an attempt that fails again and again costs, and comes to.

    `copies`: the codes of errors after which each attempt may send another copy of the same events, so that they are
    few. `escalate` gets an error and the record that it was noted in, and gives the final error that so many of them
    mean, or None.
    """

    copies: frozenset[str] = frozenset()
    escalate: Callable[[SourceError, Record], SourceError | None] = _never


class Attempt:
    """One attempt at a claim. `record` is set as soon as it is known where the claim is kept."""

    def __init__(self, key: Hashable, record: Record | None, repeats: Repeats) -> None:
        self.key = key
        self.record = record
        self._repeats = repeats
        self.opened = False
        """Whether the attempt got as far as its own store: until then a store that fails cannot be recorded there."""

    def open(self, record: Record) -> None:
        self.record = record
        self.opened = True

    def judge(self, error: SourceError) -> SourceError:
        """The error to raise, with `retry_in` set, after it was recorded; the store may fail at that too."""
        try:
            with foreseen():
                error = self._record(error)
        except ClaimLostError as lost:
            return lost
        except SourceError as unwritten:
            unwritten.retry_in = window_in_memory(self.key, unwritten)
            error = unwritten
            if isinstance(error, UnexpectedError):
                self._release(error)
        if error.retry_in is not None:
            stopping.fell_asleep(self.key)
        return error

    def _record(self, error: SourceError) -> SourceError:
        """Set `retry_in` of the error, or of what many rounds of it come to, and record it where the claim is."""
        if isinstance(error, ClaimLostError):
            return error
        noted = False
        if isinstance(error, FINAL):
            error.retry_in = None
        elif self.record is None or (isinstance(error, FirstPartyGenericError) and not self.opened):
            error.retry_in = window_in_memory(self.key, error)
        else:
            error, noted = self._failed(error, self.record), True
        if error.retry_in is None and self.record is not None:
            self.record.stop(error, noted=noted)
        return error

    def _failed(self, error: SourceError, record: Record) -> SourceError:
        since_ns = record.fail(error, since_in_memory(self.key))
        if final := self._repeats.escalate(error, record):
            return final
        copies = error.code in self._repeats.copies
        error.retry_in = next_wait(since_ns, getattr(error, "retry_after", None), copies=copies)
        if error.retry_in is not None:
            record.wait(error, error.retry_in)
        return error

    def _release(self, error: SourceError) -> None:
        with suppress(SourceError), foreseen():
            if self.record is not None:
                self.record.stop(error)


@contextmanager
def attempt(
    key: Hashable,
    record: Record | None = None,
    *,
    seen: Callable[[SourceError], SourceError] | None = None,
    repeats: Repeats = Repeats(),
) -> Iterator[Attempt]:
    """One attempt of a task at a claim: what is raised within it leaves here judged and recorded.

    `record` is where the claim was taken; `open` replaces it by what the attempt itself has opened. `seen` may replace
    an error before it is judged. An exception that nothing foresees is an UnexpectedError: reported at once, the claim
    released, and the next run tries again.
    """
    stopping.woke_up(key)
    made = Attempt(key, record, repeats)
    try:
        with foreseen():
            yield made
    except SourceError as error:
        raise made.judge(error if seen is None else seen(error)) from None
    forget(key)


@contextmanager
def foreseen() -> Iterator[None]:
    """Turn an exception that is none of ours into an UnexpectedError. The run's log shows where it was raised."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw becomes an error of ours
        where = "".join(traceback.format_tb(error.__traceback__))  # without its text, which may quote an event
        get_run_logger().error("An unexpected error in this program, %s, at:\n%s", type(error).__name__, where)
        raise UnexpectedError.from_exception(error) from None


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
        wait = min(max(failing, SHORTEST_OF_COPIES), LONGEST_OF_COPIES) * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
    else:
        wait = min(max(failing / 2, SHORTEST), LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    return max(min(wait, left), retry_after or 0.0)


def window_in_memory(key: Hashable, error: SourceError) -> float | None:
    """The wait for a failure that the store does not remember, for one because it is the store that fails."""
    if isinstance(error, FINAL):
        return None
    return next_wait(first_failure(key), getattr(error, "retry_after", None))


def first_failure(key: Hashable) -> int:
    """Since when attempts at something have been failing, in ns; now, where this is the first that fails."""
    now_ns = clock.now_ns()
    since_ns = _first_failures.get(key, now_ns)
    # One that lies ahead was noted before the clock was set back.
    _first_failures[key] = since_ns if since_ns <= now_ns + LEASE_NS else now_ns
    return _first_failures[key]


@contextmanager
def in_memory(key: Hashable) -> Iterator[None]:
    """What fails within it has its window in memory: a step of the run as a whole, which no stream remembers."""
    if _is_in_main_thread():
        stopping.end_waiting()
    if (handed_over := _first_errors.pop(key, None)) is not None:
        raise handed_over
    try:
        with foreseen():
            yield
    except SourceError as error:
        error.retry_in = window_in_memory(key, error)
        raise
    forget(key)


def directly(step: Task[P, T], key: Hashable, *arguments: P.args, **named: P.kwargs) -> T:
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


def since_in_memory(key: Hashable) -> int | None:
    return _first_failures.get(key)


def forget(key: Hashable) -> None:
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
