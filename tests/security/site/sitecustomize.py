"""Read by every Python process with this directory on its path: the client raises an error that no code expects."""

from __future__ import annotations

import os
from typing import NoReturn

if "CANARY_BREAK" in os.environ:
    from blocks.events_api.client import EventsClient

    def _broken(self: EventsClient, *_: object, **__: object) -> NoReturn:
        token = self._token
        headers = {"Authorization": f"Bearer {token}"}
        raise RuntimeError(f"unexpected: {len(headers)} header")

    EventsClient.first_page = _broken  # type: ignore[method-assign]
