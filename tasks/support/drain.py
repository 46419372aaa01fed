"""Read one stream from its cursor to the server's end. No retries and no judgement here: errors leave as they are."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from blocks import clock
from blocks.durations import DAYS_MAX, first_start_ns
from blocks.errors import CursorRejectedError, ThirdPartyConfigError
from blocks.health import tracker_of
from blocks.store import health, pages, sources, streams
from blocks.store.streams import DrainStats
from tasks.support import stopping
from tasks.support.paging import STOPPED, Paging

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.events_api.client import EventsClient
    from blocks.events_api.models import Page
    from blocks.store.pages import PageCounts
    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim, StreamView

KEPT_NS = DAYS_MAX * 86_400 * 10**9

Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(slots=True)
class CollectResult:
    """What one stream brought: counts, never events. `note` says why it ended before the server's end, if it did."""

    api: str
    pages: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0
    newest_ns: int | None = None
    seconds: float = 0.0
    note: str = ""

    def add_page(self, committed: PageCounts) -> None:
        self.pages += 1
        self.new += committed.new
        self.known += committed.known
        self.quarantined += committed.quarantined


@dataclass(slots=True)
class Pace:
    """How old the events of the last page were when they came, and how long the time before them was.

    `newest_ns`: the newest event before this round. Times in the future count as the present; what is older than
    1Password keeps its events is dated wrongly, and counts for nothing.
    """

    newest_ns: int | None = None
    lag_ns: int | None = None
    next_ns: int | None = None
    """The oldest event that is newer than `newest_ns`."""

    def observe(self, page: Page, committed: PageCounts) -> None:
        if not committed.new:
            return
        now_ns = clock.now_ns()
        times = [min(event.time_ns, now_ns) for event in page.events if event.time_ns > now_ns - KEPT_NS]
        newer = [time_ns for time_ns in times if time_ns > (self.newest_ns or 0)]
        if newer:
            self.next_ns = min(self.next_ns or newer[0], *newer)
        if times and not page.has_more:
            self.lag_ns = max(now_ns - int(median(times)), 0)

    def drain_stats(self, view: StreamView) -> DrainStats:
        """What it tells of a stream that was read to its end before; of a first reading it tells nothing."""
        if view.drained_ns is None or self.newest_ns is None:
            return DrainStats()
        quiet_ns = None if self.next_ns is None else self.next_ns - self.newest_ns
        return DrainStats(self.lag_ns, quiet_ns)


class StreamReader:
    """One attempt at one stream: from its cursor, or from a time where it has none, to has_more = false."""

    def __init__(
        self, engine: Engine, client: EventsClient, source: SourceRecord, claim: StreamClaim, log: Log
    ) -> None:
        self.engine = engine
        self.client = client
        self.source = source
        self.claim = claim
        self.collected = CollectResult(str(claim.api))
        self.log = log
        self.paging = Paging(client, claim.api, source.api_version)
        self.in_error = False
        self.by_cursor = False
        self.pace = Pace()

    def drain(self) -> CollectResult:
        started, started_ns = time.monotonic(), clock.now_ns()
        streams.renew(self.engine, self.claim)
        view = self._view()
        self.collected.newest_ns = self.pace.newest_ns = view.newest_ns
        self.in_error = tracker_of("error", view.api) in health.open_conditions(self.engine, self.source.id)
        try:
            self._drain(self._cursor_of(view), view)
        except CursorRejectedError as rejected:
            if view.cursor_dropped_ns is not None:  # it was dropped before, and nothing was read to the end since
                raise _rejected_again(rejected) from None
            self.log.warning("%s", rejected)
            self._drain_again(rejected)
        self.collected.seconds = time.monotonic() - started
        self._end(started_ns, view)
        return self.collected

    def _view(self) -> StreamView:
        view = streams.get(self.engine, self.claim.stream_id)
        if view.newest_ns is None or view.newest_ns <= clock.now_ns():
            return view
        streams.correct_newest(self.engine, self.claim)
        return streams.get(self.engine, self.claim.stream_id)

    def _drain_again(self, rejected: CursorRejectedError) -> None:
        streams.drop_cursor(self.engine, self.claim, rejected)
        try:
            self._drain(None, streams.get(self.engine, self.claim.stream_id))
        except CursorRejectedError as again:
            raise _rejected_again(again) from None

    def _end(self, started_ns: int, view: StreamView) -> None:
        if self.collected.note:
            level = logging.INFO if stopping.requested.is_set() else logging.WARNING
            self.log.log(level, "%s: %s", self.claim.api, self.collected.note)
            streams.release(self.engine, self.claim)
        else:
            pace = self.pace.drain_stats(view)
            streams.record_drain(self.engine, self.claim, started_ns, pace, by_cursor=self.by_cursor)

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
        for prepared, after in self.paging.pages(cursor, partial(self._first_page, view)):
            page = prepared.page
            committed = pages.commit_prepared(self.engine, self.claim, prepared, after=after)
            self.by_cursor |= after is not None
            self.collected.add_page(committed)
            self.pace.observe(page, committed)
            if self.in_error:
                streams.recover(self.engine, self.claim)
                self.in_error = False
            newest_ns = max((min(event.time_ns, clock.now_ns()) for event in page.events), default=None)
            if newest_ns is not None:
                self.collected.newest_ns = max(newest_ns, self.collected.newest_ns or newest_ns)
            if committed.quarantined:
                self.log.warning(
                    "%s: %d items cannot be stored as events and are kept in quarantine: %s",
                    self.claim.api,
                    committed.quarantined,
                    {item.reason for item in page.invalid_items},
                )
            self.collected.note = self.paging.reason_to_stop(page, after)
            if self.collected.note:
                return
        if self.paging.broken_off:
            self.collected.note = STOPPED

    def _first_page(self, view: StreamView) -> Page:
        start_ns = view.resume_ns
        if start_ns is None:
            start_ns = first_start_ns(self.source.collect_from, sources.created_ns(self.engine, self.source.id))
        streams.record_first_request(self.engine, self.claim, start_ns)
        return self.client.first_page(view.api, start_ns)


def _rejected_again(rejected: CursorRejectedError) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"{rejected.message} A cursor was dropped once already, and the new one is refused as well.",
        hint="Check api_version of the source, then `onepassword-source restart NAME`.",
        code=rejected.code,
    )
