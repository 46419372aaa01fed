"""The console's connections to the store, opened when a page needs them, and again after an error."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from blocks import settings
from blocks.store import source_status

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Stores:
    """The engine of the store that the settings name; one for all pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: tuple[str, Engine] | None = None

    def engine(self) -> Engine:
        """Raises ThirdPartyConfigError if there is no store yet, FirstPartyGenericError if it does not answer."""
        url = settings.database_url()
        with self._lock:
            if self._engine is None or self._engine[0] != url:
                self._engine = url, source_status.open_store(url)
            return self._engine[1]
