"""Attempts of a task: judge an error, record it, and retry for up to 90 minutes since the last progress.

The task decides whether and when it is retried, since it knows how long its stream has been failing. It leaves its
decision in the error's `retry_in`. Prefect calls `should_retry` after each failed attempt and reads
`task.retry_delay_seconds` right after it, so `should_retry` sets the delay there.
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

from blocks import clock, retry_window
from blocks.errors import (
    ClaimLostError,
    FirstPartyGenericError,
    SourceError,
    StoreVersionError,
    ThirdPartyConfigError,
    UnexpectedError,
)
from blocks.store import claim_expiry
from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
T = TypeVar("T")

SHORTEST, LONGEST = 2.0, 300.0  # seconds between attempts; the longest is a tick
DUPLICATES_SHORTEST, DUPLICATES_LONGEST = 15.0, 900.0  # where each attempt may be another copy of the same events
ATTEMPTS_MAX = 2000  # more than the window can hold: time ends the retries, not their number
FINAL = (ThirdPartyConfigError, ClaimLostError, StoreVersionError, UnexpectedError)  # never retried in the same run

_first_failures: dict[Hashable, int] = {}
_first_errors: dict[Hashable, SourceError] = {}


class AttemptRecord(Protocol):
    """Records attempts in the row that holds the claim. Its methods raise what the store raises."""

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        """Record a failed attempt, and return the time of the first failure since the last progress (ns since 1970).

        `since_ns` is that time if only this process knows it, as after a failure of the store itself.
        """

    def wait(self, error: SourceError, seconds: float) -> None:
        """Renew the claim for a wait of `seconds` and the attempt after it."""

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        """Record that this run stops retrying, report it as a health event, and release the claim.

        `noted`: `fail` has counted the attempt already.
        """


def _never(_error: SourceError, _record: AttemptRecord) -> None:
    return None


@dataclass(frozen=True, slots=True)
class RepeatPolicy:
    """How a task treats errors that repeat.

    `duplicating_codes`: codes of errors after which each further attempt may send the same events again. Their waits
    are longer, so that there are few copies. `escalate` gets an error and the record in which it was counted. It
    returns the final error to raise instead, or None.
    """

    duplicating_codes: frozenset[str] = frozenset()
    escalate: Callable[[SourceError, AttemptRecord], SourceError | None] = _never


class Attempt:
    """One attempt at a claim. `record` is None while no store is known that holds the claim."""

    def __init__(self, key: Hashable, record: AttemptRecord | None, repeats: RepeatPolicy) -> None:
        self.key = key
        self.record = record
        self._repeats = repeats
        self.opened = False
        """True once the attempt has opened the store. Before that, a failing store cannot record its own failure."""

    def open(self, record: AttemptRecord) -> None:
        self.record = record
        self.opened = True

    def judge(self, error: SourceError) -> SourceError:
        """Record the error, set its `retry_in`, and return the error to raise: if recording fails, that error."""
        try:
            with convert_unexpected():
                error = self._record(error)
        except ClaimLostError as lost:
            return lost
        except SourceError as unwritten:
            unwritten.retry_in = retry_wait_in_memory(self.key, unwritten)
            error = unwritten
            if isinstance(error, UnexpectedError):
                self._release(error)
        if error.retry_in is not None:
            stopping.begin_retry_wait(self.key)
        return error

    def _record(self, error: SourceError) -> SourceError:
        if isinstance(error, ClaimLostError):
            return error  # the row belongs to another run now: this one writes nothing more (fencing)
        noted = False
        if isinstance(error, FINAL):
            error.retry_in = None
        elif self.record is None or (isinstance(error, FirstPartyGenericError) and not self.opened):
            error.retry_in = retry_wait_in_memory(self.key, error)
        else:
            error, noted = self._failed(error, self.record), True
        if error.retry_in is None and self.record is not None:
            self.record.stop(error, noted=noted)
        return error

    def _failed(self, error: SourceError, record: AttemptRecord) -> SourceError:
        since_ns = record.fail(error, failing_since_ns(self.key))
        if final := self._repeats.escalate(error, record):
            return final
        copies = error.code in self._repeats.duplicating_codes
        error.retry_in = next_wait(since_ns, getattr(error, "retry_after", None), may_duplicate=copies)
        if error.retry_in is not None:
            record.wait(error, error.retry_in)
        return error

    def _release(self, error: SourceError) -> None:
        with suppress(SourceError), convert_unexpected():
            if self.record is not None:
                self.record.stop(error)


@contextmanager
def attempt(
    key: Hashable,
    record: AttemptRecord | None = None,
    *,
    replace_error: Callable[[SourceError], SourceError] | None = None,
    repeats: RepeatPolicy = RepeatPolicy(),
) -> Iterator[Attempt]:
    """One attempt of a task at a claim. Every exception leaves this block as a SourceError, judged and recorded.

    `record` is in the store in which the claim was taken. `Attempt.open` replaces it by the store that this attempt
    has opened. `replace_error` may replace an error before it is judged. An exception of another kind becomes an
    UnexpectedError: it is reported at once, the claim is released, and the next run tries again.
    """
    stopping.end_retry_wait(key)
    made = Attempt(key, record, repeats)
    try:
        with convert_unexpected():
            yield made
    except SourceError as error:
        raise made.judge(error if replace_error is None else replace_error(error)) from None
    forget(key)


@contextmanager
def convert_unexpected() -> Iterator[None]:
    """Turn every exception that is no SourceError into an UnexpectedError. The run's log shows where it was raised."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place that catches every exception
        where = "".join(traceback.format_tb(error.__traceback__))  # without the message, which may quote an event
        get_run_logger().error("An unexpected error in this program, %s, at:\n%s", type(error).__name__, where)
        raise UnexpectedError.from_exception(error) from None


def next_wait(failing_since_ns: int, retry_after: float | None = None, *, may_duplicate: bool = False) -> float | None:
    """Seconds until the next attempt; None once 90 minutes have passed since the first failure.

    The wait is half of the time since the first failure, with jitter. So waits grow without a counter, also across
    processes, and the last attempt falls on the end of the 90 minutes. `retry_after` (seconds) of a server is honoured.
    `may_duplicate`: each attempt may send the same events again, so there are fewer: some 13 in 90 minutes.
    """
    failing = max((clock.now_ns() - failing_since_ns) / 1e9, 0.0)
    left = retry_window.SECONDS - failing
    if left <= 0:
        return None
    if may_duplicate:
        # As long as all waits before it together.
        wait = min(max(failing, DUPLICATES_SHORTEST), DUPLICATES_LONGEST) * random.uniform(0.8, 1.0)  # noqa: S311
    else:
        wait = min(max(failing / 2, SHORTEST), LONGEST) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    return max(min(wait, left), retry_after or 0.0)


def retry_wait_in_memory(key: Hashable, error: SourceError) -> float | None:
    """The wait after a failure that the store cannot record, for example because the store itself fails."""
    if isinstance(error, FINAL):
        return None
    return next_wait(first_failure_ns(key), getattr(error, "retry_after", None))


def first_failure_ns(key: Hashable) -> int:
    """The time of the first failure that this process remembers of `key`, in ns since 1970; now if it is the first."""
    now_ns = clock.now_ns()
    since_ns = _first_failures.get(key, now_ns)
    # A time in the future was noted before the clock was set back: the 90 minutes start again.
    _first_failures[key] = now_ns if claim_expiry.is_ahead(since_ns, now_ns) else since_ns
    return _first_failures[key]


@contextmanager
def attempt_in_memory(key: Hashable) -> Iterator[None]:
    """One attempt of a step of the whole run, such as opening the source. No row records it, so memory does.

    The error that `run_inline` has kept for `key` is raised as the first attempt.
    """
    if _is_in_main_thread():
        stopping.end_main_wait()
    if (handed_over := _first_errors.pop(key, None)) is not None:
        raise handed_over
    try:
        with convert_unexpected():
            yield
    except SourceError as error:
        error.retry_in = retry_wait_in_memory(key, error)
        raise
    forget(key)


def run_inline(step: Task[P, T], key: Hashable, *arguments: P.args, **named: P.kwargs) -> T:
    """Call a step as a plain function. Only if it fails and is retried, run it as a Prefect task.

    A task run costs more than most steps do: three events and some thirty rows. The failed call counts as the task's
    first attempt, so its wait and its 90 minutes begin there. `key` is the key of the step's `attempt_in_memory`.
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


def failing_since_ns(key: Hashable) -> int | None:
    """The time of the first failure of `key` that only this process knows (ns since 1970), or None."""
    return _first_failures.get(key)


def forget(key: Hashable) -> None:
    _first_failures.pop(key, None)


def should_retry(task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Prefect's `retry_condition_fn`. Each submitted `task` must be a copy, since its delay is set here."""
    wait = getattr(state.data, "retry_in", None)
    if wait is None or (_is_in_main_thread() and not stopping.begin_main_wait(str(state.data))):
        return False
    task.retry_delay_seconds = clock.engine_delay(wait)  # type: ignore[assignment]  # Prefect accepts a number, too
    return True


TASK_OPTIONS: dict[str, Any] = {
    "retries": ATTEMPTS_MAX,
    "retry_delay_seconds": 1,  # `should_retry` sets it, attempt by attempt; it must not be 0 before that
    "retry_condition_fn": should_retry,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""The options of a task that is retried by this module."""
