"""Helpers for tests of the Events API client: open it, drain a stream, catch an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from blocks.errors import SourceError
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api, Page

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOlsiZXZlbnRzIl19.c2lnbmF0dXJl"
START_NS = 1577836800 * 10**9  # 2020-01-01
QUICK = httpx.Timeout(0.1)
EVENTS = 90


def open_client(sandbox: SandboxProcess, **options: Any) -> EventsClient:
    return EventsClient(sandbox.base_url, options.pop("token", sandbox.token), **options)


def drain(client: EventsClient, api: Api = Api.AUDIT, **options: Any) -> list[Page]:
    pages = [client.first_page(api, START_NS, **options)]
    while pages[-1].has_more:
        pages.append(client.next_page(api, pages[-1].cursor))
    return pages


def bodies(pages: list[Page]) -> list[bytes]:
    return [event.body.encode() for page in pages for event in page.events]


def failure_of(client: EventsClient, cursor: str | None = None, api: Api = Api.AUDIT) -> SourceError:
    """The error of one request for a page."""
    with pytest.raises(SourceError) as raised:
        client.first_page(api, START_NS) if cursor is None else client.next_page(api, cursor)
    return raised.value
