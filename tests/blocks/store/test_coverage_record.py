"""The record of what was collected, as the store has it, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.coverage.gaps import DAY_NS, HOUR_NS, KEPT_NS, GapKind, coverage
from blocks.events_api.models import Api, Event, Page
from blocks.store import coverage_record as stored
from blocks.store import hourly_counts, lifecycle, pages, sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, JobRequest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.coverage.gaps import Coverage
    from blocks.coverage.report import Report

DAY = 86_400


@pytest.fixture(autouse=True)
def saved_source(engine: Engine, moving: MovingClock) -> Engine:
    sources.save(engine, SOURCE)
    return engine


def collect(engine: Engine, api: Api, *events_ns: int, from_ns: int | None = None) -> None:
    """A run that reads everything up to now; a first one, or one with another start, begins at `from_ns`."""
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (api,))[0], "run")
    assert claim
    if from_ns is not None:
        streams.record_first_request(engine, claim, from_ns)
    started_ns, view = clock.now_ns(), streams.get(engine, claim.stream_id)
    found = [Event(f"U{api}{ns}", ns, "{}") for ns in events_ns]
    page = Page(f"c{started_ns}", has_more=False, events=found, invalid_items=[])
    pages.commit_page(engine, claim, page, after=view.cursor, api_version="v2")
    streams.record_drain(engine, claim, started_ns)


def read(engine: Engine, kind: str, api: Api, start_ns: int, end_ns: int) -> None:
    """A job that is read to its end, in windows of a day."""
    job = jobs.start(engine, JobRequest(kind, SOURCE.id, (api,), start_ns, end_ns), DAY_NS)
    while claim := windows.acquire(engine, job.id, "run"):
        page = Page("c", has_more=False, events=[], invalid_items=[])
        windows.commit_page(engine, claim, page, after=None, api_version="v2", last=True)


def coverage_of(engine: Engine, api: Api = Api.AUDIT) -> Coverage:
    (record,) = stored.records(engine, SOURCE.id, (api,))
    return coverage(record, clock.now_ns())


def report(engine: Engine, *, by_hour: bool = False, with_lags: bool = True) -> Report:
    since_ns = clock.now_ns() - KEPT_NS
    return stored.report_of(engine, SOURCE.id, SOURCE.name, since_ns, by_hour=by_hour, with_lags=with_lags)


def gaps(one: Coverage) -> list[tuple[GapKind, int, int]]:
    return [(gap.kind, gap.start_ns, gap.end_ns) for gap in one.holes]


def test_a_source_that_collects_is_covered_from_its_start_on(engine: Engine, moving: MovingClock) -> None:
    collect(engine, Api.AUDIT, from_ns=START_NS - DAY_NS)
    for _ in range(3):
        moving.advance(300)
        collect(engine, Api.AUDIT)
    one = coverage_of(engine)
    assert one.covered == [(START_NS - DAY_NS, clock.now_ns())]
    assert (one.first_ns, one.collecting, one.holes) == (START_NS - DAY_NS, True, ())


def test_a_pause_is_an_open_gap_that_collection_closes_by_itself(engine: Engine, moving: MovingClock) -> None:
    collect(engine, Api.AUDIT, from_ns=START_NS - DAY_NS)
    moving.advance(5 * DAY)
    assert gaps(coverage_of(engine)) == [(GapKind.OPEN, START_NS, clock.now_ns())]
    collect(engine, Api.AUDIT)
    assert gaps(coverage_of(engine)) == []


def test_a_cursor_that_is_begun_again_later_leaves_a_gap_that_a_backfill_closes(
    engine: Engine, moving: MovingClock
) -> None:
    collect(engine, Api.AUDIT, from_ns=START_NS - DAY_NS)
    moving.advance(5 * DAY)
    again_ns = START_NS + 4 * DAY_NS
    collect(engine, Api.AUDIT, from_ns=again_ns)
    assert gaps(coverage_of(engine)) == [(GapKind.GAP, START_NS, again_ns)]
    read(engine, BACKFILL, Api.AUDIT, START_NS, START_NS + DAY_NS)
    assert gaps(coverage_of(engine)) == [(GapKind.GAP, START_NS + DAY_NS, again_ns)]
    assert coverage_of(engine).reconciled == []
    read(engine, RECONCILE, Api.AUDIT, START_NS + DAY_NS, again_ns)
    assert gaps(coverage_of(engine)) == []
    assert coverage_of(engine).reconciled == [(START_NS + DAY_NS, again_ns, clock.now_ns())]
    assert gaps(coverage_of(engine, Api.SIGN_IN)) == []


def test_a_window_that_is_not_read_to_its_end_closes_nothing(engine: Engine, moving: MovingClock) -> None:
    collect(engine, Api.AUDIT, from_ns=START_NS - DAY_NS)
    moving.advance(5 * DAY)
    collect(engine, Api.AUDIT, from_ns=clock.now_ns())
    request = JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), START_NS, START_NS + DAY_NS)
    claim = windows.acquire(engine, jobs.start(engine, request, DAY_NS).id, "run")
    assert claim
    page = Page("c", has_more=True, events=[], invalid_items=[])
    windows.commit_page(engine, claim, page, after=None, api_version="v2", last=False)
    assert gaps(coverage_of(engine)) == [(GapKind.GAP, START_NS, clock.now_ns())]


def test_why_nothing_collects_an_api(engine: Engine) -> None:
    collect(engine, Api.AUDIT, START_NS, from_ns=START_NS - DAY_NS)
    assert coverage_of(engine).record.stopped == ""
    identity = lifecycle.find(engine, SOURCE.name)
    assert identity
    lifecycle.pause(engine, identity)
    assert coverage_of(engine).record.stopped == "stopped"
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET apis = '[\"sign-in\"]'"))
    assert coverage_of(engine).record.stopped == "unsupported"
    assert [record.api for record in stored.records(engine, SOURCE.id)] == ["sign-in", "audit"]
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET deleted_ns = 1"))
    assert coverage_of(engine).record.stopped == "deleted"


def test_counts_and_lags_of_each_day_and_hour(engine: Engine, moving: MovingClock) -> None:
    midnight = START_NS // DAY_NS * DAY_NS
    first, second = midnight - 2 * DAY_NS, midnight - DAY_NS
    times = [first, first + 1, second, second + HOUR_NS, second + HOUR_NS + 5, second + 2 * HOUR_NS, midnight]
    collect(engine, Api.AUDIT, *times, from_ns=first - DAY_NS)
    coverage = report(engine)
    (api,) = [api for api in coverage.apis if api.api == "audit"]
    by_day = {cell.start_ns: cell for cell in api.cells}
    assert [by_day[day].events for day in (first, second, midnight)] == [2, 4, 1]
    assert by_day[first].lag_ns == START_NS - (first + 1)
    assert by_day[second].lag_ns == START_NS - (second + HOUR_NS + 5)  # the middle of three hours
    assert by_day[second].collected_ns == DAY_NS
    assert by_day[first - 2 * DAY_NS].before_ns == DAY_NS
    (api,) = [api for api in report(engine, by_hour=True).apis if api.api == "audit"]
    by_hour = {cell.start_ns: cell for cell in api.cells}
    assert [by_hour[second + n * HOUR_NS].events for n in range(4)] == [1, 2, 1, 0]
    assert by_hour[second + 3 * HOUR_NS].lag_ns is None
    assert all(cell.lag_ns is None for cell in report(engine, with_lags=False).apis[2].cells)


def test_a_day_counts_as_reconciled_once_all_that_was_collected_of_it_is(engine: Engine, moving: MovingClock) -> None:
    midnight = START_NS // DAY_NS * DAY_NS
    day = midnight - 3 * DAY_NS
    collect(engine, Api.AUDIT, from_ns=day + 6 * HOUR_NS)
    read(engine, RECONCILE, Api.AUDIT, day, day + 12 * HOUR_NS)
    at = {cell.start_ns: cell.reconciled_ns for cell in report(engine).apis[2].cells}
    assert at[day] is None
    moving.advance(60)
    read(engine, RECONCILE, Api.AUDIT, day + 12 * HOUR_NS, day + 2 * DAY_NS)
    at = {cell.start_ns: cell.reconciled_ns for cell in report(engine).apis[2].cells}
    assert (at[day], at[day + DAY_NS], at[day + 2 * DAY_NS]) == (START_NS, START_NS + 60 * 10**9, None)


def test_a_report_begins_with_the_first_counted_event(engine: Engine) -> None:
    old_ns = START_NS - 500 * DAY_NS
    with engine.begin() as connection:
        hourly_counts.increment(connection, 3, [old_ns])
    coverage = stored.report_of(engine, SOURCE.id, SOURCE.name, 0)
    assert coverage.since_ns == old_ns // DAY_NS * DAY_NS
    assert coverage.apis[2].cells[0].events == 1


def test_events_are_never_counted(engine: Engine) -> None:
    """The cost is that of days and windows: of the events, only the newest of each hour is looked at, and for lags."""
    collect(engine, Api.AUDIT, START_NS, from_ns=START_NS - DAY_NS)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    report(engine, with_lags=False)
    assert statements
    assert not [question for question in statements if "events e" in question or "FROM events" in question]
    report(engine, with_lags=True)
    of_events = [question for question in statements if "FROM events" in question]
    assert len(of_events) == len(Api)
    assert all("LIMIT 1" in question for question in of_events)
