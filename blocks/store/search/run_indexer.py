"""Keep the index up to date until the process stops: after each batch a pause, after an error a longer one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.store.engine import is_sqlite, reading, store_errors, writing
from blocks.store.search import backlog
from blocks.store.search.indexer import BATCH, index_batch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy import Engine

IDLE_SECONDS = 5.0  # between two looks for new events
POLITE_SECONDS = 0.15  # more than SQLite's longest sleep between two tries of another writer (0.1 s)
POLITE_BATCH = 200  # events in a transaction while others write: on SQLite they wait for its end
BUSY_SECONDS = 10.0  # the store counts as busy for so long after another process wrote to it
QUIET_SECONDS = 0.01
RETRY_SECONDS, RETRY_MAX_SECONDS = 5.0, 300.0
_CODES = 200  # characters of an error that are kept


@dataclass(frozen=True, slots=True)
class IndexerStatus:
    """How far the index is: `not_indexed` events wait. `error` is the last one, since `error_ns`; empty if none."""

    not_indexed: int
    indexed_ns: int | None = None
    error: str = ""
    error_ns: int | None = None

    @property
    def words(self) -> str:
        """A sentence for people; empty if the index is complete and there is no error."""
        if self.not_indexed == 1:
            waiting = "1 event is not indexed yet, so no search finds it."
        else:
            waiting = f"{self.not_indexed:,} events are not indexed yet, so no search finds them."
        if self.error:
            return f"The search index stopped: {self.error} {waiting}"
        return waiting if self.not_indexed else ""


def status(engine: Engine) -> IndexerStatus:
    """The state of the index. Raises FirstPartyGenericError if the database does not answer."""
    with store_errors(), reading(engine).connect() as connection:
        row = connection.execute(text("SELECT indexed_ns, error, error_ns FROM index_state WHERE id = 1")).first()
        not_indexed = backlog.count(connection)
    if row is None:
        return IndexerStatus(not_indexed)
    return IndexerStatus(not_indexed, row.indexed_ns, row.error or "", row.error_ns)


def run_indexer(engine: Engine, stop: threading.Event, wait: Callable[[float], object] | None = None) -> None:
    """Index new events until `stop` is set. It raises nothing: it remembers an error in the store, and tries again.

    `wait` pauses for some seconds, or until `stop` is set.
    """
    pauses = _Pauses(engine)
    wait = wait or stop.wait
    while not stop.is_set():
        try:
            wait(_step(engine, pauses))
        except FirstPartyGenericError as error:
            _remember(engine, error)
            wait(pauses.after_error())


def _step(engine: Engine, pauses: _Pauses) -> float:
    size = pauses.next_batch()
    started = time.monotonic()
    events = index_batch(engine, size)
    return IDLE_SECONDS if events is None else pauses.after_batch(time.monotonic() - started)


def _remember(engine: Engine, error: FirstPartyGenericError) -> None:
    """Keep the error where every process sees it, unless the store does not answer at all: then they all know."""
    values = {"error": str(error).splitlines()[0][:_CODES], "now": clock.now_ns()}
    try:
        with writing(engine) as connection:
            connection.execute(_ERROR, values)
    except FirstPartyGenericError:
        return


_ERROR = text(
    "INSERT INTO index_state (id, error, error_ns) VALUES (1, :error, :now) "
    "ON CONFLICT (id) DO UPDATE SET error = excluded.error, error_ns = excluded.error_ns"
)


class _Pauses:
    """How long to pause, and how much to do at once: on SQLite, where one writes at a time, others come first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = -1
        self._busy_until = time.monotonic() + BUSY_SECONDS
        self._is_polite = False
        self._retry = RETRY_SECONDS

    def next_batch(self) -> int:
        """How many events to index now."""
        self._is_polite = is_sqlite(self._engine) and self._is_busy()
        return POLITE_BATCH if self._is_polite else BATCH

    def after_batch(self, seconds: float) -> float:
        """A batch took so long. Others need at least as much time as it took, if there are any."""
        self._retry = RETRY_SECONDS
        if not is_sqlite(self._engine):
            return seconds  # others wait for no lock, and get the processor at least half of the time
        return max(seconds, POLITE_SECONDS) if self._is_polite else QUIET_SECONDS

    def after_error(self) -> float:
        """Twice as long after each error in a row."""
        pause, self._retry = self._retry, min(self._retry * 2, RETRY_MAX_SECONDS)
        return pause

    def _is_busy(self) -> bool:
        """Whether another connection has committed lately. At the start it is not known, so it counts as busy."""
        with store_errors(), reading(self._engine).connect() as connection:
            version = int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        if self._version not in {-1, version}:
            self._busy_until = time.monotonic() + BUSY_SECONDS
        self._version = version
        return time.monotonic() < self._busy_until
