"""Page after page of one API, the next one read while this one is written. Errors leave as they are, confirmed."""

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
EMPTY_PAGES_MAX = 100  # in a row: one may come by the documentation, these many never end


class Paging:
    """Asks for pages from a cursor on, until the server has no more."""

    def __init__(self, client: EventsClient, api: Api, api_version: str) -> None:
        self.client = client
        self.api = api
        self.api_version = api_version
        self.empty = 0
        self.broken_off = False
        """Whether the run was asked to end while a request waited for its turn."""

    def reason_to_stop(self, page: Page, after: str | None) -> str:
        """Why no further page is to be asked for though the server says that there is one; empty where there is not."""
        if not page.has_more:
            return ""
        if stopping.requested.is_set():
            return STOPPED
        if page.cursor == after:
            return "the server says that there is more, but its cursor does not move; the next run asks again"
        self.empty = 0 if page.events or page.invalid_items else self.empty + 1
        if self.empty >= EMPTY_PAGES_MAX:
            return f"the server sent {self.empty} empty pages and says that there is more; the next run goes on"
        return ""

    def pages(self, cursor: str | None, first: Callable[[], Page]) -> Iterator[tuple[PreparedPage, str | None]]:
        """Each page, and the cursor before it; `first` asks where there is no cursor yet.

        While one is written the next is read and prepared.
        """
        ask = first if cursor is None else partial(self.client.next_page, self.api, cursor)
        with ThreadPoolExecutor(1, thread_name_prefix=f"read-{self.api}") as reader:
            waiting = reader.submit(self._asked(ask))
            while True:
                try:
                    prepared, after = waiting.result(), cursor
                except StoppedWaitingError:
                    self.broken_off = True
                    return
                page, cursor = prepared.page, prepared.page.cursor
                if page.has_more and cursor != after and not stopping.requested.is_set():
                    waiting = reader.submit(self._asked(partial(self.client.next_page, self.api, cursor)))
                    yield prepared, after
                else:
                    yield prepared, after
                    return

    def _asked(self, ask: Callable[[], Page]) -> Callable[[], PreparedPage]:
        def asked() -> PreparedPage:
            try:
                return prepare(ask(), self.api, self.api_version)
            except UnconfirmedError as error:
                raise self._confirmed(error) from None

        return asked

    def _confirmed(self, error: UnconfirmedError) -> SourceError:
        """A 401, 403 or 404 counts as a wrong configuration only where introspection says so too."""
        try:
            seen = self.client.introspect()
        except SourceError as confirmed:
            return confirmed if isinstance(confirmed, ThirdPartyConfigError) else error
        if not seen.allows(self.api):
            return api_errors.missing_scope_error(self.api, seen.scopes)
        return error
