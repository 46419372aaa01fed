"""Fills the index of the Events page and the counts of Insight in threads of the console's process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from blocks.errors import SourceError
from blocks.store import source_status
from blocks.store.insight.run_counter import run_counter
from blocks.store.search.run_indexer import run_indexer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

RETRY_SECONDS = 30.0


def start_indexing() -> threading.Event:
    """Index and count until the process ends, or the returned event is set. Each thread has a connection of its own."""
    stop = threading.Event()
    for name, work in (("search index", run_indexer), ("insight", run_counter)):
        threading.Thread(target=_run, args=(work, stop), daemon=True, name=name).start()
    return stop


def _run(work: Callable[[Engine, threading.Event], None], stop: threading.Event) -> None:
    engine = _open(stop)
    if engine is not None:
        work(engine, stop)
        engine.dispose()


def _open(stop: threading.Event) -> Engine | None:
    """The store, as soon as there is one and it answers."""
    while not stop.is_set():
        try:
            return source_status.open_store()
        except SourceError:
            stop.wait(RETRY_SECONDS)
    return None
