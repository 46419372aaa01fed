"""The console's connections to the store, opened when a page needs them, and again after an error."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from blocks import settings
from blocks.store import source_status
from blocks.store.engine import open_reader

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Stores:
    """The engines of the store that the settings name; one that writes and one that only reads, for all pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: tuple[str, Engine] | None = None
        self._reader: tuple[str, Engine] | None = None

    def engine(self) -> Engine:
        """Raises ThirdPartyConfigError if there is no store yet, FirstPartyGenericError if it does not answer."""
        url = settings.database_url()
        with self._lock:
            if self._engine is None or self._engine[0] != url:
                self._engine = url, source_status.open_store(url)
            return self._engine[1]

    def reader(self) -> Engine:
        """For searches and counts, which take long: on SQLite they use connections of their own. Raises likewise."""
        self.engine()  # it upgrades the store
        url = settings.database_url()
        with self._lock:
            if self._reader is None or self._reader[0] != url:
                self._reader = url, open_reader(url)
            return self._reader[1]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for opened in (self._engine, self._reader):
                if opened is not None:
                    opened[1].dispose()
            self._engine = self._reader = None
