"""What reconcile finds: marked, judged late or missed by the stream's own cursor; and bodies that have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.values import SOURCE, require_proof

from blocks import clock
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import RECONCILE, JobRequest
from blocks.store.backfill.windows import WindowClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[Any, ...]]]

START_NS = 1_700_000_000 * 10**9
COUNTS = "SELECT undecided, late, missed, changed FROM streams WHERE api = 'audit'"


def event(number: int, body: str | None = None) -> Event:
    return Event(f"U{number}", START_NS + number, body or f'{{"n": {number}}}')


def page(events: Sequence[Event], cursor: str) -> Page:
    return Page(cursor, has_more=False, events=list(events), invalid_items=[])


class Stream:
    """Live collection of one stream and reconcile beside it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.cursor: str | None = None
        self.runs = 0
        self.version = "v2"

    def begin(self) -> StreamClaim:
        self.runs += 1
        view = streams.of_source(self.engine, SOURCE.id, (Api.AUDIT,))[0]
        claim = streams.acquire(self.engine, view, f"run-{self.runs}", by_force=True)
        assert claim
        return claim

    def bring(self, claim: StreamClaim, *events: Event) -> None:
        new_page = page(events, f"c{self.runs}.{len(events)}")
        pages.commit_page(self.engine, claim, new_page, after=self.cursor, api_version=self.version)
        self.cursor = new_page.cursor

    def end(self, claim: StreamClaim) -> None:
        streams.record_drain(self.engine, claim, clock.now_ns())

    def drain(self, *events: Event) -> None:
        claim = self.begin()
        self.bring(claim, *events)
        self.end(claim)

    def reconcile(self, *events: Event, kind: str = RECONCILE) -> None:
        request = JobRequest(kind, SOURCE.id, (Api.AUDIT,), START_NS, START_NS + 10**9)
        job = jobs.start(self.engine, request, 10**9)
        claim = windows.acquire(self.engine, job.id, "reconcile")
        assert isinstance(claim, WindowClaim)
        windows.commit_page(self.engine, claim, page(events, "w"), after=None, api_version=self.version, last=True)
        assert jobs.find(self.engine, job.id).finished_ns


@pytest.fixture
def stream(engine: Engine, source: SourceRecord) -> Stream:
    assert source
    return Stream(engine)


def test_what_the_cursor_brings_later_was_late(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.reconcile(event(1), event(2), event(3))
    assert rows(COUNTS) == [(2, 0, 0, 0)]
    stream.drain(event(3), event(4))
    assert rows("SELECT uuid, verdict FROM late_or_missed ORDER BY uuid") == [("U2", "missed"), ("U3", "late")]
    assert rows(COUNTS) == [(0, 1, 1, 0)]
    stream.reconcile(event(5))
    stream.drain(event(2), event(3))  # they are judged, and stay so
    assert rows(COUNTS) == [(0, 1, 2, 0)]
    assert rows("SELECT uuid FROM late_or_missed WHERE verdict = 'late'") == [("U3",)]
    assert require_proof(stream.engine) == 4


def test_a_miss_is_reported_once_with_the_times(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.reconcile(*[event(n) for n in range(1, 9)])
    stream.drain()
    stream.drain()
    health_events = rows("SELECT severity, api, description FROM health_events WHERE name = 'EventsMissed'")
    assert len(health_events) == 1
    severity, api, description = health_events[0]
    assert (severity, api) == ("Warning", "audit")
    assert description == (
        "Live collection of audit had missed 7 events: "
        + ", ".join(f"U{n} of 2023-11-14T22:13:20.00000000{n}Z" for n in range(2, 7))
        + " and 2 more."
    )


def test_a_drain_that_had_begun_before_judges_nothing(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    under_way = stream.begin()
    stream.reconcile(event(2))
    stream.bring(under_way, event(3))
    stream.end(under_way)
    assert rows(COUNTS) == [(1, 0, 0, 0)]
    stream.drain(event(2))
    assert rows(COUNTS) == [(0, 1, 0, 0)]


def test_one_under_way_that_brings_it_shows_that_it_was_late(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    under_way = stream.begin()
    stream.reconcile(event(2))
    stream.bring(under_way, event(2))
    assert rows(COUNTS) == [(0, 1, 0, 0)]


def test_a_drain_that_is_broken_off_judges_nothing(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.reconcile(event(2))
    claim = stream.begin()
    stream.bring(claim, event(3))
    streams.release(stream.engine, claim)
    assert rows(COUNTS) == [(1, 0, 0, 0)]


def test_a_backfill_marks_nothing_and_keeps_a_changed_body_too(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.reconcile(event(1, '{"n": "other"}'), event(2), kind=jobs.BACKFILL)
    assert rows(COUNTS) == [(0, 0, 0, 1)]
    assert rows("SELECT count(*) FROM late_or_missed") == [(0,)]
    assert rows("SELECT body FROM changed_bodies") == [('{"n": "other"}',)]


def test_a_changed_body_is_kept_beside_the_event_once(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1), event(2), event(3))
    changed = event(2, '{"n": 2, "more": "ä"}')
    stream.reconcile(event(1), changed, event(3, '{"n":  3}'))
    stream.reconcile(changed)
    stream.reconcile(event(2, '{"n": "third"}'))
    assert rows("SELECT body FROM events ORDER BY id") == [('{"n": 1}',), ('{"n": 2}',), ('{"n": 3}',)]
    assert rows("SELECT uuid, body, api_version FROM changed_bodies ORDER BY id") == [
        ("U2", changed.body, "v2"),
        ("U2", '{"n": "third"}', "v2"),
    ]
    assert rows(COUNTS) == [(0, 0, 0, 2)]
    assert rows("SELECT changed FROM windows") == [(1,)]  # of the last; older jobs are forgotten
    health_events = rows("SELECT description FROM health_events WHERE name = 'EventsChanged' ORDER BY id")
    assert health_events == [("1Password has changed one event of audit since: U2.",)] * 2
    assert require_proof(stream.engine) == 1


def test_a_body_of_another_version_of_the_api_is_no_change(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.version = "v1"
    stream.drain(event(2))
    stream.reconcile(event(1, '{"v1": 1}'), event(2, '{"v1": 2}'))
    assert rows("SELECT uuid FROM changed_bodies") == [("U2",)]


def test_the_version_of_events_in_no_link_is_unknown(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1))
    stream.drain(event(2))
    with stream.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain WHERE number = 1")
    stream.reconcile(event(1, '{"other": 1}'), event(2, '{"other": 2}'))
    assert rows("SELECT uuid FROM changed_bodies") == [("U2",)]


def test_half_a_surrogate_pair_is_compared_too(stream: Stream, rows: Rows) -> None:
    stream.drain(event(1, r'{"n": "\ud800"}'))
    stream.reconcile(event(1, r'{"n": "\ud800"}'))
    assert rows(COUNTS) == [(0, 0, 0, 0)]
    stream.reconcile(event(1, r'{"n": "\ud801"}'))
    assert rows(COUNTS) == [(0, 0, 0, 1)]


def test_a_window_ends_where_live_collection_has_read_to(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    request = JobRequest(RECONCILE, source.id, (Api.AUDIT, Api.SIGN_IN), 0, 30)
    jobs.start(engine, request, 10, {Api.AUDIT: 15, Api.SIGN_IN: 10})
    of = "SELECT api, start_ns, end_ns FROM windows JOIN streams ON streams.id = stream_id ORDER BY windows.id"
    assert rows(of) == [("audit", 0, 10), ("sign-in", 0, 10), ("audit", 10, 15)]


def test_jobs_of_times_that_are_gone_are_forgotten(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    day_ns = 86_400 * 10**9
    now_ns = clock.now_ns()
    for days in (130, 110):
        jobs.start(engine, JobRequest(RECONCILE, source.id, (Api.AUDIT,), 0, now_ns - days * day_ns), 10**18)
    jobs.start(engine, JobRequest(RECONCILE, source.id, (Api.AUDIT,), 0, now_ns), 10**18)
    assert rows("SELECT count(*) FROM jobs") == [(2,)]
    assert rows("SELECT count(DISTINCT job_id) FROM windows") == [(2,)]
