"""Read by every Python process that has this directory on its path: what nobody thought of happens in the client."""

from __future__ import annotations

import os
from typing import NoReturn

if "CANARY_BREAK" in os.environ:
    from blocks.events_api.client import EventsClient

    def _broken(self: EventsClient, *_: object, **__: object) -> NoReturn:
        token = self._token
        headers = {"Authorization": f"Bearer {token}"}
        raise RuntimeError(f"nobody has thought of this: {len(headers)} header")

    EventsClient.first_page = _broken  # type: ignore[method-assign]
