"""Read one stream from its cursor to the server's end. No retries and no judgement here: errors leave as they are."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from blocks import clock
from blocks.collect_from import start_of
from blocks.errors import CursorRejectedError, SourceError, ThirdPartyConfigError, UnconfirmedError
from blocks.events_api import outcomes
from blocks.health import tracker_of
from blocks.store import health, pages, sources, streams
from blocks.store.streams import Brought
from tasks import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from blocks.events_api.client import EventsClient
    from blocks.events_api.models import Page
    from blocks.store.pages import Committed
    from blocks.store.sources import SourceRecord
    from blocks.store.streams import Claim, StreamView

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


EMPTY_PAGES_MAX = 100  # in a row: one may come by the documentation, these many never end


@dataclass(slots=True)
class Collected:
    """What one stream brought: counts, never events. `note` says why it ended before the server's end, if it did."""

    api: str
    pages: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0
    newest_ns: int | None = None
    seconds: float = 0.0
    note: str = ""

    def add(self, committed: Committed) -> None:
        self.pages += 1
        self.new += committed.new
        self.known += committed.known
        self.quarantined += committed.quarantined


@dataclass(slots=True)
class Pace:
    """How old the events of the last page were when they came, and how long the time before them was."""

    lag_ns: int | None = None
    oldest_ns: int | None = None

    def see(self, page: Page, committed: Committed) -> None:
        if not committed.new:
            return
        times = [event.time_ns for event in page.events]
        self.oldest_ns = min(self.oldest_ns or times[0], *times)
        if not page.has_more:
            self.lag_ns = max(clock.now_ns() - int(median(times)), 0)

    def since(self, view: StreamView) -> Brought:
        """What it tells of a stream that was read to its end before; of a first reading it tells nothing."""
        if view.drained_ns is None or view.newest_ns is None or self.oldest_ns is None:
            return Brought()
        return Brought(self.lag_ns, max(self.oldest_ns - view.newest_ns, 0))


class Round:
    """One attempt at one stream: from its cursor, or from a time where it has none, to has_more = false."""

    def __init__(self, engine: Engine, client: EventsClient, source: SourceRecord, claim: Claim, log: Log) -> None:
        self.engine = engine
        self.client = client
        self.source = source
        self.claim = claim
        self.collected = Collected(str(claim.api))
        self.log = log
        self.empty = 0
        self.in_error = False
        self.by_cursor = False
        self.pace = Pace()

    def run(self) -> Collected:
        started, started_ns = time.monotonic(), clock.now_ns()
        streams.renew(self.engine, self.claim)
        view = streams.one(self.engine, self.claim.stream_id)
        self.collected.newest_ns = view.newest_ns
        self.in_error = tracker_of("error", view.api) in health.open_conditions(self.engine, self.source.id)
        try:
            self._drain(self._cursor_of(view), view)
        except CursorRejectedError as rejected:
            if view.cursor_dropped_ns is not None:  # it was dropped before, and nothing was read to the end since
                raise _refused_again(rejected) from None
            self.log.warning("%s", rejected)
            self._drain_anew(rejected)
        self.collected.seconds = time.monotonic() - started
        self._end(started_ns, view)
        return self.collected

    def _drain_anew(self, rejected: CursorRejectedError) -> None:
        streams.drop_cursor(self.engine, self.claim, rejected)
        try:
            self._drain(None, streams.one(self.engine, self.claim.stream_id))
        except CursorRejectedError as again:
            raise _refused_again(again) from None

    def _end(self, started_ns: int, view: StreamView) -> None:
        if self.collected.note:
            level = logging.INFO if stopping.requested.is_set() else logging.WARNING
            self.log.log(level, "%s: %s", self.claim.api, self.collected.note)
            streams.release(self.engine, self.claim)
        else:
            pace = self.pace.since(view)
            streams.note_drained(self.engine, self.claim, started_ns, pace, by_cursor=self.by_cursor)

    def _cursor_of(self, view: StreamView) -> str | None:
        if view.cursor is not None and view.cursor_version != self.source.api_version:
            self.log.warning(
                "api_version is now %s: a cursor of %s does not count there, so %s is read again from a time.",
                self.source.api_version,
                view.cursor_version,
                view.api,
            )
            streams.drop_cursor(self.engine, self.claim)
            return None
        return view.cursor

    def _drain(self, cursor: str | None, view: StreamView) -> None:
        for page, after in self._pages(cursor, view):
            committed = pages.commit_page(
                self.engine, self.claim, page, after=after, api_version=self.source.api_version
            )
            self.by_cursor |= after is not None
            self.collected.add(committed)
            self.pace.see(page, committed)
            if self.in_error:
                streams.recover(self.engine, self.claim)
                self.in_error = False
            newest_ns = max((event.time_ns for event in page.events), default=None)
            if newest_ns is not None:
                self.collected.newest_ns = max(newest_ns, self.collected.newest_ns or newest_ns)
            if committed.quarantined:
                self.log.warning(
                    "%s: %d items cannot be stored as events and are kept in quarantine: %s",
                    self.claim.api,
                    committed.quarantined,
                    {item.reason for item in page.rejected},
                )
            self.collected.note = self._reason_to_stop(page, after)
            if self.collected.note:
                return

    def _reason_to_stop(self, page: Page, after: str | None) -> str:
        if not page.has_more:
            return ""
        if stopping.requested.is_set():
            return "stopped; the next run goes on from the page that was committed last"
        if page.cursor == after:
            return "the server says that there is more, but its cursor does not move; the next run asks again"
        self.empty = 0 if page.events or page.rejected else self.empty + 1
        if self.empty >= EMPTY_PAGES_MAX:
            return f"the server sent {self.empty} empty pages and says that there is more; the next run goes on"
        return ""

    def _pages(self, cursor: str | None, view: StreamView) -> Iterator[tuple[Page, str | None]]:
        """Each page, and the cursor before it. The next page is read while this one is written."""
        ask = self._first_request(view) if cursor is None else partial(self.client.next_page, view.api, cursor)
        with ThreadPoolExecutor(1, thread_name_prefix=f"read-{view.api}") as reader:
            waiting = reader.submit(self._asked(ask))
            while True:
                page, after = waiting.result(), cursor
                cursor = page.cursor
                if page.has_more and cursor != after and not stopping.requested.is_set():
                    waiting = reader.submit(self._asked(partial(self.client.next_page, view.api, cursor)))
                    yield page, after
                else:
                    yield page, after
                    return

    def _first_request(self, view: StreamView) -> Callable[[], Page]:
        start_ns = view.resume_ns
        if start_ns is None:
            start_ns = start_of(self.source.collect_from, sources.created_ns(self.engine, self.source.id))
        return partial(self.client.first_page, view.api, start_ns)

    def _asked(self, ask: Callable[[], Page]) -> Callable[[], Page]:
        def asked() -> Page:
            try:
                return ask()
            except UnconfirmedError as error:
                raise self._confirmed(error) from None

        return asked

    def _confirmed(self, error: UnconfirmedError) -> SourceError:
        """A 401, 403 or 404 counts as a wrong configuration only where introspection says so too."""
        try:
            seen = self.client.introspect()
        except SourceError as confirmed:
            return confirmed if isinstance(confirmed, ThirdPartyConfigError) else error
        if not seen.allows(self.claim.api):
            return outcomes.of_missing_scope(self.claim.api, seen.scopes)
        return error


def _refused_again(rejected: CursorRejectedError) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"{rejected.message} A cursor was dropped once already, and the new one is refused as well.",
        hint="Check api_version of the source, then restart it.",
        code=rejected.code,
    )
