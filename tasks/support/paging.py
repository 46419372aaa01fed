"""Read page after page of one API. The next page is read while the current one is committed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from blocks.errors import SourceError, ThirdPartyConfigError, UnconfirmedError
from blocks.events_api import api_errors
from blocks.store.pages import prepare
from tasks.support import stopping
from tasks.support.rate_gate import StoppedWaitingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blocks.events_api.client import EventsClient
    from blocks.events_api.models import Api, Page
    from blocks.store.pages import PreparedPage

STOPPED = "stopped; the next run goes on from the page that was committed last"
EMPTY_PAGES_MAX = 100  # in a row; by the documentation a single one may come


class Paging:
    """Requests pages from a cursor on, until has_more is false."""

    def __init__(self, client: EventsClient, api: Api, api_version: str) -> None:
        self.client = client
        self.api = api
        self.api_version = api_version
        self.empty = 0
        self.interrupted = False
        """True if a stop was requested while a request waited for its rate-limit slot."""

    def reason_to_stop(self, page: Page, after: str | None) -> str:
        """Why no further page is requested although has_more is true; empty if there is no such reason.

        The guards keep a server that repeats itself from holding the run: a cursor that does not move, or that moves
        through empty pages only.
        """
        if not page.has_more:
            return ""
        if stopping.requested.is_set():
            return STOPPED
        if page.cursor == after:
            return "has_more is true, but the cursor does not move; the next run tries again"
        self.empty = 0 if page.events or page.invalid_items else self.empty + 1
        if self.empty >= EMPTY_PAGES_MAX:
            return f"the server sent {self.empty} empty pages, and has_more is still true; the next run continues"
        return ""

    def pages(self, cursor: str | None, first: Callable[[], Page]) -> Iterator[tuple[PreparedPage, str | None]]:
        """Each page, prepared for its commit, and the cursor before it (None before the first page of all).

        Without a cursor, `first` requests the first page. The next page is requested before the current one is yielded:
        it depends on the cursor only, and nothing of it is stored before the current page is committed. Raises
        SourceError as the client does; a 401, 403 or 404 is confirmed by introspection first.
        """
        request = first if cursor is None else partial(self.client.next_page, self.api, cursor)
        with ThreadPoolExecutor(1, thread_name_prefix=f"read-{self.api}") as reader:
            waiting = reader.submit(self._read, request)
            while True:
                try:
                    prepared, after = waiting.result(), cursor
                except StoppedWaitingError:
                    self.interrupted = True
                    return
                page, cursor = prepared.page, prepared.page.cursor
                if page.has_more and cursor != after and not stopping.requested.is_set():
                    waiting = reader.submit(self._read, partial(self.client.next_page, self.api, cursor))
                    yield prepared, after
                else:
                    yield prepared, after
                    return

    def _read(self, request: Callable[[], Page]) -> PreparedPage:
        try:
            return prepare(request(), self.api, self.api_version)
        except UnconfirmedError as error:
            raise self._confirmed(error) from None

    def _confirmed(self, error: UnconfirmedError) -> SourceError:
        """A 401, 403 or 404 is an error of the configuration only if introspection confirms it. Else it is retried."""
        try:
            seen = self.client.introspect()
        except SourceError as confirmed:
            return confirmed if isinstance(confirmed, ThirdPartyConfigError) else error

        if not seen.allows(self.api):
            return api_errors.missing_scope_error(self.api, seen.scopes)
        return error
