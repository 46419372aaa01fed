"""Stop a run in good order: each reader commits its current page, then ends."""

from __future__ import annotations

import contextvars
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

requested = threading.Event()
"""Set when this process is to stop. Readers check it after each page."""


def _exit_code(_name: str, _message: str) -> int:
    return 0


exit_hook: Callable[[str, str], int] = _exit_code
"""Called with the outcome of the run and its message if the process exits at once. Returns the exit code."""

exit_seconds = 10.0
"""How long the last steps may take if the process exits at once: a store or a Prefect server may hang."""

_waits_for = ""
"""Why the main thread waits for the next attempt of a step; empty while it does not wait."""
_waiting: set[object] = set()
_lock = threading.Lock()


def begin_retry_wait(reader: object) -> None:
    """A reader waits for its next attempt. Prefect sleeps there, and cannot be woken."""
    with _lock:
        _waiting.add(reader)


def end_retry_wait(reader: object) -> None:
    with _lock:
        _waiting.discard(reader)


def waiting_readers() -> int:
    """The number of readers that wait for their next attempt."""
    with _lock:
        return len(_waiting)


def begin_main_wait(why: str) -> bool:
    """Call this before the main thread waits for its next attempt. False if a stop was requested: do not wait then."""
    global _waits_for  # noqa: PLW0603 - there is one main thread
    _waits_for = why  # first: a signal in between is noticed by one of the two
    return not requested.is_set()


def end_main_wait() -> None:
    """Call this when the main thread continues."""
    global _waits_for  # noqa: PLW0603 - as above
    _waits_for = ""


@contextmanager
def on_signals(exit_while_waiting: Callable[[str], None]) -> Iterator[None]:
    """Within it, SIGTERM and SIGINT request a stop instead of interrupting the run. A second signal interrupts it.

    `exit_while_waiting` exits the process if the main thread waits for its next attempt. It gets the reason.
    """
    requested.clear()
    end_main_wait()
    if threading.current_thread() is not threading.main_thread():  # Python takes signals in the main thread alone
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    context = contextvars.copy_context()

    def request(number: int, _frame: object) -> None:
        requested.set()
        signal.signal(number, before[signal.Signals(number)])
        if _waits_for:  # in a thread, since this one may hold a lock
            threading.Thread(target=context.copy().run, args=(exit_while_waiting, _waits_for), daemon=True).start()

    for number in before:
        signal.signal(number, request)
    try:
        yield
    finally:
        end_main_wait()
        for number, handler in before.items():
            signal.signal(number, handler)
