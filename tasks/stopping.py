"""Stopping in good order: the page in hand is committed, then each reader ends."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

requested = threading.Event()
"""Set once this process is to end. Readers look at it after each page."""


def _exit_code(_name: str, _message: str) -> int:
    return 0


at_end: Callable[[str, str], int] = _exit_code
"""Called with the final state's name and message where the process ends at once; gives its exit code."""

_asleep: set[object] = set()
_lock = threading.Lock()


def fell_asleep(reader: object) -> None:
    """A reader waits for its next attempt, which cannot be cut short."""
    with _lock:
        _asleep.add(reader)


def woke_up(reader: object) -> None:
    with _lock:
        _asleep.discard(reader)


def asleep() -> int:
    """How many readers wait for their next attempt."""
    with _lock:
        return len(_asleep)


@contextmanager
def on_signals() -> Iterator[None]:
    """Within it, SIGTERM and SIGINT ask for a stop instead of breaking the run off. A second one breaks it off."""
    requested.clear()
    if threading.current_thread() is not threading.main_thread():  # Python takes signals in the main thread alone
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, _frame: object) -> None:
        requested.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
