"""Count days behind collection until the process stops, a few at a time; after an error, wait longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.errors import FirstPartyGenericError
from blocks.store.insight.counted_days import count_stale_days

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy import Engine

IDLE_SECONDS = 60.0  # between two looks for days that changed
PAUSE_SECONDS = 0.2  # between batches: other writers have their turn
RETRY_SECONDS, RETRY_MAX_SECONDS = 5.0, 300.0
BATCH = 10  # days


def run_counter(engine: Engine, stop: threading.Event, wait: Callable[[float], object] | None = None) -> None:
    """Count days until `stop` is set. It raises nothing: a page counts what is missing, and says what it could not.

    `wait` pauses for some seconds, or until `stop` is set.
    """
    wait, retry = wait or stop.wait, RETRY_SECONDS
    while not stop.is_set():
        try:
            wait(PAUSE_SECONDS if count_stale_days(engine, BATCH) else IDLE_SECONDS)
            retry = RETRY_SECONDS
        except FirstPartyGenericError:
            wait(retry)
            retry = min(retry * 2, RETRY_MAX_SECONDS)
