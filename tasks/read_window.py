"""Read one window of time with a cursor of its own, beside live collection, and retry as collection does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks import clock, settings
from blocks.collect_from import DAYS_MAX
from blocks.errors import ClaimLostError, CursorRejectedError, SourceError, ThirdPartyGenericError
from blocks.store import windows
from blocks.store.windows import WindowClaim
from tasks import rates, retries, stopping
from tasks.paging import STOPPED, Paging
from tasks.source import after_rotation, load_source, open_store, record_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.events_api.client import EventsClient
    from blocks.events_api.models import Page
    from blocks.store.pages import Prepared
    from blocks.store.sources import SourceRecord

OVERLAP_NS = 10**9  # neighbours read a second in common: whether a bound counts in is not documented
RESTARTS_MAX = 2  # of a window whose cursor the server refuses
_DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class WindowRead:
    """What a window brought: counts, never events. `note` says why it was not read to its end, if it was not."""

    api: str
    pages: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0
    note: str = ""


class WindowRound:
    """One attempt at one window: from its cursor, or from its start, to has_more = false."""

    def __init__(self, engine: Engine, client: EventsClient, source: SourceRecord, claim: WindowClaim) -> None:
        self.engine = engine
        self.client = client
        self.source = source
        self.claim = claim
        self.paging = Paging(client, claim.api, source.api_version)
        self.read = WindowRead(str(claim.api))
        self.latest_ns: int | None = None
        self.rising = True

    def run(self) -> WindowRead:
        windows.renew(self.engine, self.claim)
        try:
            self._read()
        except CursorRejectedError:
            if windows.view(self.engine, self.claim).restarts >= RESTARTS_MAX:
                raise
            windows.begin_anew(self.engine, self.claim)
            self._read()
        return self.read

    def _read(self) -> None:
        view = windows.view(self.engine, self.claim)
        cursor = view.cursor
        if cursor is not None and view.cursor_version != self.source.api_version:
            windows.begin_anew(self.engine, self.claim)
            cursor = None
        for prepared, after in self.paging.pages(cursor, self._first_page):
            page = prepared.page
            last = not page.has_more or self._is_past(page)
            self._commit(prepared, after, last=last)
            if last:
                return
            if reason := self.paging.reason_to_stop(page, after):
                if reason != STOPPED:
                    raise _stuck(reason)
                break
        self.read.note = STOPPED
        windows.release(self.engine, self.claim)

    def _commit(self, prepared: Prepared, after: str | None, *, last: bool) -> None:
        committed = windows.commit_prepared(self.engine, self.claim, prepared, after=after, last=last)
        self.read.pages += 1
        self.read.new += committed.new
        self.read.known += committed.known
        self.read.quarantined += committed.quarantined

    def _first_page(self) -> Page:
        start_ns = max(self.claim.start_ns - OVERLAP_NS, clock.now_ns() - DAYS_MAX * _DAY_NS)
        return self.client.first_page(self.claim.api, start_ns, end_ns=self.claim.end_ns)

    def _is_past(self, page: Page) -> bool:
        """Whether the server has left the window behind, which need not stop at its end.

        Its times rose, page by page, and none of this one is in the window any more.
        """
        times = [event.time_ns for event in page.events]
        if not times:
            return False
        first, before = min(times), self.latest_ns
        self.rising &= before is None or first >= before
        self.latest_ns = max(times)
        return self.rising and before is not None and first >= self.claim.end_ns + OVERLAP_NS


@task(name="read window", **retries.OPTIONS)
def read_window(source: str, claim: WindowClaim) -> WindowRead:
    """Read the window of `claim` to its end; each page and its cursor are one commit.

    Submit a copy of this task for each window (`with_options`), since its delay between attempts is its own. An error
    that leaves here has `retry_in` set where the step is to be tried again; otherwise the window is free again.
    """
    key, engine, fingerprint = f"window/{claim.id}/{claim.fence}", None, ""
    stopping.woke_up(claim)
    try:
        with retries.in_memory(key):
            try:
                block = load_source(source)
                fingerprint = block.fingerprint()
                engine = open_store(block)
                record = record_of(block)
                gate = rates.gate(engine, record, settings.backfill_share())
                with block.credentials.get_client(block.api_version, turn=gate) as client:
                    return WindowRound(engine, client, record, claim).run()
            except SourceError as error:
                raise after_rotation(source, error, fingerprint) from None
    except SourceError as error:
        if engine is not None:
            _keep(engine, claim, block.source_id, error)
        raise


def _keep(engine: Engine, claim: WindowClaim, source_id: str, error: SourceError) -> None:
    """Keep the window for the next attempt, or give it back. The store may fail at that: then the claim lapses."""
    if isinstance(error, ClaimLostError):
        return
    try:
        if error.retry_in is None or stopping.requested.is_set():
            windows.release(engine, claim, str(error))
        else:
            windows.renew(engine, claim, for_seconds=error.retry_in, error=str(error))
            rates.note(engine, source_id, error)
            stopping.fell_asleep(claim)
    except SourceError as unwritten:
        get_run_logger().warning("That could not be kept in the store. %s", unwritten)


def _stuck(reason: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(f"The window was not read to its end: {reason}.", code="stuck")
