"""Introspects a token within a time limit, for `apply`, `token` and `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from blocks.events_api.client import EventsClient
from deployments.bounded_call import call_within

if TYPE_CHECKING:
    from blocks.events_api.models import Introspection

INTROSPECTION_SECONDS = 8.0


def introspect(base_url: str, token: str, api_version: str = "v2") -> Introspection:
    """Introspect the token. Raises SourceError and TimeoutError."""

    def request() -> Introspection:
        timeout = httpx.Timeout(INTROSPECTION_SECONDS)
        seconds = INTROSPECTION_SECONDS
        with EventsClient(base_url, token, api_version=api_version, timeout=timeout, deadline=seconds) as client:
            return client.introspect()

    # It may try v2 and then v1, each within the deadline.
    return call_within(INTROSPECTION_SECONDS + 1, request)
