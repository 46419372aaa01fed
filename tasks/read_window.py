"""Read one window of time with a cursor of its own, beside live collection. Retried as collection is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prefect import task

from blocks import clock, settings
from blocks.durations import DAYS_MAX
from blocks.errors import CursorRejectedError, SourceError, ThirdPartyGenericError
from blocks.store import streams
from blocks.store.backfill import windows
from blocks.store.backfill.windows import WindowClaim
from tasks import attempts
from tasks.session import open_session
from tasks.support import rate_gate
from tasks.support.paging import STOPPED, Paging
from tasks.support.source import load_source

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.events_api.client import EventsClient
    from blocks.events_api.models import Page
    from blocks.store.pages import PreparedPage
    from blocks.store.sources import SourceRecord

OVERLAP_NS = 10**9  # neighbours overlap by a second: whether the API includes its bounds is not documented
RESTARTS_MAX = 2  # of a window whose cursor the server rejects
_DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class WindowResult:
    """What was read of a window: counts, never events. `note` says why it was not read to its end, if so."""

    api: str
    pages: int = 0
    new: int = 0
    known: int = 0
    quarantined: int = 0
    note: str = ""


class WindowReader:
    """Reads one window in one attempt: from its cursor, or from its start, to has_more = false or past its end."""

    def __init__(self, engine: Engine, client: EventsClient, source: SourceRecord, claim: WindowClaim) -> None:
        self.engine = engine
        self.client = client
        self.source = source
        self.claim = claim
        self.paging = Paging(client, claim.api, source.api_version)
        self.result = WindowResult(str(claim.api))
        self.latest_ns: int | None = None
        self.rising = True

    def read(self) -> WindowResult:
        windows.renew(self.engine, self.claim)
        try:
            self._read()
        except CursorRejectedError:
            if windows.get(self.engine, self.claim).restarts >= RESTARTS_MAX:
                raise
            windows.restart(self.engine, self.claim)
            self._read()
        return self.result

    def _read(self) -> None:
        view = windows.get(self.engine, self.claim)
        cursor = view.cursor
        if cursor is not None and view.cursor_version != self.source.api_version:
            windows.restart(self.engine, self.claim)
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
        self.result.note = STOPPED
        windows.release(self.engine, self.claim)

    def _commit(self, prepared: PreparedPage, after: str | None, *, last: bool) -> None:
        committed = windows.commit_prepared(self.engine, self.claim, prepared, after=after, last=last)
        self.result.pages += 1
        self.result.new += committed.new
        self.result.known += committed.known
        self.result.quarantined += committed.quarantined

    def _first_page(self) -> Page:
        start_ns = max(self.claim.start_ns - OVERLAP_NS, clock.now_ns() - DAYS_MAX * _DAY_NS)
        return self.client.first_page(self.claim.api, start_ns, end_ns=self.claim.end_ns)

    def _is_past(self, page: Page) -> bool:
        """True if the server has passed the end of the window: it may send events behind `end_time`, too.

        Its times rose, page by page, and no event of this page is in the window.
        """
        now_ns = clock.now_ns()
        times = [event.time_ns for event in page.events if event.time_ns <= now_ns]  # wrong clocks show no order
        if not times:
            return False
        first, before = min(times), self.latest_ns
        self.rising &= before is None or first >= before
        self.latest_ns = max(times)
        return self.rising and before is not None and first >= self.claim.end_ns + OVERLAP_NS


@task(name="read window", **attempts.TASK_OPTIONS)
def read_window(source: str, claim: WindowClaim) -> WindowResult:
    """Read the window of `claim` to its end. Each page and its cursor are one commit.

    Submit a copy of this task for each window (`with_options`), since its delay between attempts is its own. An error
    leaves here judged: its `retry_in` is set if the task is retried; otherwise the window is released.
    """
    record = partial(_record, claim)
    with open_session(source, attempt_key(claim), record, load_source, settings.backfill_share) as session:
        return WindowReader(session.engine, session.client, session.source, claim).read()


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """The record of attempts at a window, in its row.

    Only this process remembers how long a window has been failing: another run that claims it has 90 minutes of its
    own.
    """

    engine: Engine
    claim: WindowClaim

    def fail(self, error: SourceError, since_ns: int | None) -> int:  # noqa: ARG002 - of the protocol
        return attempts.first_failure_ns(attempt_key(self.claim))

    def wait(self, error: SourceError, seconds: float) -> None:
        windows.renew(self.engine, self.claim, for_seconds=seconds, error=str(error))
        rate_gate.pause_after_429(self.engine, streams.source_id_of(self.engine, self.claim.stream_id), error)

    def stop(self, error: SourceError, *, noted: bool = False) -> None:  # noqa: ARG002 - of the protocol
        windows.stop(self.engine, self.claim, error)


def _record(claim: WindowClaim, engine: Engine, _fingerprint: str | None) -> WindowRecord:
    return WindowRecord(engine, claim)


def attempt_key(claim: WindowClaim) -> str:
    return f"window/{claim.id}/{claim.fence}"


def _stuck(reason: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(f"The window was not read to its end: {reason}.", code="stuck")
