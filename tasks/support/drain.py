"""Read one stream from its cursor to has_more = false. Errors leave unchanged: `tasks.attempts` judges and retries."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from blocks import clock
from blocks.config.first_run import first_start_ns
from blocks.durations import DAYS_MAX
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
    """What was read of one stream: counts, never events. `note` says why reading stopped before has_more = false."""

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
    """How late the events of the last page came, and how long the stream was quiet before them. Times are ns.

    `newest_ns`: the newest event before this drain. Times in the future count as now. An event that is older than
    1Password keeps events is dated wrongly, and is not counted.
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
        """The lag and the quiet time, for a stream that was drained before. A first drain shows neither."""
        if view.drained_ns is None or self.newest_ns is None:
            return DrainStats()
        quiet_ns = None if self.next_ns is None else self.next_ns - self.newest_ns
        return DrainStats(self.lag_ns, quiet_ns)


class StreamReader:
    """Reads one stream in one attempt: from its cursor, or without one from a start time, to has_more = false."""

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
        """Read page after page; each page and its cursor are one commit. Raises what the client or the store raises.

        A stored cursor that the server rejects is dropped once: the stream is read again from an earlier time, and
        events that are stored already count as known. If that was tried since the last complete drain, the error is
        final. Otherwise a server that rejects every cursor would make each run read days again, forever.
        """
        started, started_ns = time.monotonic(), clock.now_ns()
        streams.renew(self.engine, self.claim)
        view = self._view()
        self.collected.newest_ns = self.pace.newest_ns = view.newest_ns
        self.in_error = tracker_of("error", view.api) in health.open_conditions(self.engine, self.source.id)
        try:
            self._drain(self._cursor_of(view), view)
        except CursorRejectedError as rejected:
            if view.cursor_dropped_ns is not None:  # dropped before, and not drained since
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
        # An event dated in the future would hide every later one from lag and silence.
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
                "api_version is now %s, and a cursor of %s is not valid there. %s is read again from an earlier time.",
                self.source.api_version,
                view.cursor_version,
                view.api,
            )
            streams.drop_cursor(self.engine, self.claim)
            return None
        return view.cursor

    def _drain(self, cursor: str | None, view: StreamView) -> None:
        for prepared, after in self.paging.pages(cursor, partial(self._first_page, view)):
            # Compare-and-swap from `after`: a run that lost its claim meanwhile fails here and stores nothing.
            committed = pages.commit_prepared(self.engine, self.claim, prepared, after=after)
            self.by_cursor |= after is not None
            if self.in_error:  # a committed page is progress: it ends the error and its 90 minutes
                streams.recover(self.engine, self.claim)
                self.in_error = False
            self._count(prepared.page, committed)
            self.collected.note = self.paging.reason_to_stop(prepared.page, after)
            if self.collected.note:
                return
        if self.paging.interrupted:
            self.collected.note = STOPPED

    def _count(self, page: Page, committed: PageCounts) -> None:
        self.collected.add_page(committed)
        self.pace.observe(page, committed)
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

    def _first_page(self, view: StreamView) -> Page:
        start_ns = view.resume_ns
        if start_ns is None:
            start_ns = first_start_ns(self.source.collect_from, sources.created_ns(self.engine, self.source.id))
        streams.record_first_request(self.engine, self.claim, start_ns)
        return self.client.first_page(view.api, start_ns)


def _rejected_again(rejected: CursorRejectedError) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"{rejected.message} A cursor was dropped once already, and the new one was rejected as well.",
        hint="Check api_version of the source, then `onepassword-source restart NAME`.",
        code=rejected.code,
    )
