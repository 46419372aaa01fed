"""Fills the index of the Events page and the counts of Insight in a thread of the console's process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from blocks.errors import SourceError
from blocks.store import source_status
from blocks.store.search.run_indexer import run_indexer

if TYPE_CHECKING:
    from sqlalchemy import Engine

RETRY_SECONDS = 30.0


def start_indexing() -> threading.Event:
    """Index until the process ends, or the returned event is set. The thread has a connection of its own."""
    stop = threading.Event()
    threading.Thread(target=_index, args=(stop,), daemon=True, name="search index").start()
    return stop


def _index(stop: threading.Event) -> None:
    engine = _open(stop)
    if engine is not None:
        run_indexer(engine, stop)
        engine.dispose()


def _open(stop: threading.Event) -> Engine | None:
    """The store, as soon as there is one and it answers."""
    while not stop.is_set():
        try:
            return source_status.open_store()
        except SourceError:
            stop.wait(RETRY_SECONDS)
    return None
