"""Events dated in the future, or long ago: none of them stands for the present; each is kept as it came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.moving_clock import START_NS, MovingClock
from support.paths import FIXTURES
from support.values import SOURCE
from whenever import Instant

from blocks import clock
from blocks.events_api.models import Api, Event, Page
from blocks.store import coverage_record, event_times, pages, prune, source_status, sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.prune import PruneTarget
from tasks.support.drain import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

DAY, DAY_NS = 86_400, 86_400 * 10**9
BODY = (FIXTURES / "future.json").read_text().strip()
IN_2031 = Instant.parse_iso(json.loads(BODY)["timestamp"]).timestamp(unit="nanosecond")
FUTURE = Event("FUTURE", IN_2031, BODY)
LONG_AGO = Event("1970", 0, '{"uuid": "1970"}')


def commit(engine: Engine, claim: StreamClaim, *events: Event) -> Page:
    view = streams.get(engine, claim.stream_id)
    page = Page(f"{view.cursor or ''}+", has_more=False, events=list(events), invalid_items=[])
    pages.commit_page(engine, claim, page, after=view.cursor, api_version="v2")
    return page


def event(time_ns: int) -> Event:
    return Event(f"U{time_ns}", time_ns, "{}")


def newest(engine: Engine, claim: StreamClaim) -> int | None:
    return streams.get(engine, claim.stream_id).newest_ns


def test_the_newest_event_is_not_in_the_future(
    engine: Engine, moving: MovingClock, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, event(START_NS - DAY_NS), FUTURE)
    assert newest(engine, claim) == START_NS
    assert rows("SELECT time_ns, body FROM events WHERE uuid = 'FUTURE'") == [(IN_2031, BODY)]
    moving.advance(DAY)
    commit(engine, claim, FUTURE, event(START_NS + 5))
    assert newest(engine, claim) == START_NS + 5, "one that was there already does not count again"


def test_a_window_that_reads_it_again_does_not_count_it_as_new(
    engine: Engine, moving: MovingClock, claim: StreamClaim
) -> None:
    commit(engine, claim, FUTURE)
    moving.advance(DAY)
    jobs.start(engine, JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), START_NS, START_NS + DAY_NS), DAY_NS)
    window = windows.acquire(engine, jobs.unfinished(engine, SOURCE.id)[0].id, "run")
    assert window
    page = Page("c", has_more=False, events=[FUTURE], invalid_items=[])
    windows.commit_page(engine, window, page, after=None, api_version="v2", last=True)
    assert newest(engine, claim) == START_NS


def test_they_are_counted_and_reported_once(
    engine: Engine, moving: MovingClock, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, *(Event(f"F{n}", IN_2031 - n, "{}") for n in range(3)))
    commit(engine, claim, FUTURE)
    commit(engine, claim, event(START_NS + 299 * 10**9))  # as two clocks may differ
    health_events = rows("SELECT name, severity, api, description FROM health_events")
    sentence = "3 events of audit had a time in the future when received, up to 2031-01-01T00:00:00Z."
    assert health_events == [("EventsInFuture", "Warning", "audit", sentence)]
    assert event_times.count_in_future(engine, claim.stream_id) == (4, START_NS)
    (status,) = source_status.sources(engine, SOURCE.name)
    assert {one.api: one.in_future for one in status.streams} == {"audit": 4, "sign-in": 0, "itemUsage": 0}


def test_a_store_that_took_one_for_the_newest_is_put_right(
    engine: Engine, moving: MovingClock, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, event(START_NS - 7), FUTURE, LONG_AGO)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE streams SET newest_ns = {IN_2031}")
    (status,) = source_status.sources(engine, SOURCE.name)
    assert {one.newest_ns for one in status.streams} == {START_NS}
    streams.correct_newest(engine, claim)
    assert newest(engine, claim) == START_NS - 7


def test_reading_again_without_a_cursor_begins_at_neither(
    engine: Engine, moving: MovingClock, claim: StreamClaim
) -> None:
    commit(engine, claim, LONG_AGO)
    streams.record_drain(engine, claim, START_NS)
    assert streams.get(engine, claim.stream_id).resume_ns == START_NS - 120 * DAY_NS
    claim_held = streams.acquire(engine, streams.get(engine, claim.stream_id), "run-2")
    assert claim_held
    commit(engine, claim_held, FUTURE)
    assert streams.get(engine, claim.stream_id).resume_ns == START_NS - 2 * DAY_NS


def paced(engine: Engine, claim: StreamClaim, *events: Event) -> streams.DrainStats:
    """What a round reports that brings these an hour after an event that is a day old."""
    view = streams.get(engine, claim.stream_id)
    pace = Pace(view.newest_ns)
    pace.observe(commit(engine, claim, *events), pages.PageCounts(len(events), 0, 0))
    return pace.drain_stats(view)


def test_the_pace_of_a_stream_is_that_of_the_others(engine: Engine, moving: MovingClock, claim: StreamClaim) -> None:
    commit(engine, claim, event(START_NS - DAY_NS))
    streams.record_drain(engine, claim, START_NS - DAY_NS)
    now_ns = clock.now_ns()
    own = [event(now_ns - 10), event(now_ns - 20)]
    assert paced(engine, claim, *own, FUTURE, LONG_AGO) == streams.DrainStats(10, DAY_NS - 20)


def test_one_of_them_alone_reports_no_pace(engine: Engine, moving: MovingClock, claim: StreamClaim) -> None:
    commit(engine, claim, event(START_NS - DAY_NS))
    streams.record_drain(engine, claim, START_NS - DAY_NS)
    assert paced(engine, claim, LONG_AGO) == streams.DrainStats(None, None)
    assert paced(engine, claim, FUTURE) == streams.DrainStats(0, DAY_NS)


def test_retention_takes_what_is_old_by_its_receipt(
    engine: Engine, moving: MovingClock, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, FUTURE, LONG_AGO, event(START_NS))
    target = PruneTarget(claim.stream_id, "audit", SOURCE.id, SOURCE.name)
    moving.advance(399 * DAY)
    assert list(prune.prune(engine, target, prune.parse_rule("400d"), lambda _: None)) == [1], "1970"
    moving.advance(2 * DAY)
    commit(engine, claim, event(START_NS + 401 * DAY_NS), Event("NEW", IN_2031 + 1, "{}"))
    rule = prune.parse_rule("400d")
    assert prune.plan(engine, target, rule).going == 2
    assert sum(prune.prune(engine, target, rule, lambda _: None)) == 2
    assert rows("SELECT uuid FROM events ORDER BY id") == [(f"U{START_NS + 401 * DAY_NS}",), ("NEW",)]
    commit(engine, claim, FUTURE)
    assert rows("SELECT count(*) FROM events") == [(2,)], "what was pruned is not stored again"


def test_the_report_of_coverage_begins_and_ends_with_what_is_collected(
    engine: Engine, moving: MovingClock, claim: StreamClaim
) -> None:
    sources.save(engine, SOURCE)
    commit(engine, claim, FUTURE, LONG_AGO, event(START_NS))
    lags = coverage_record.hourly_lags(engine, [claim.stream_id], START_NS - DAY_NS)
    assert max(lags[claim.stream_id]) <= START_NS // (3600 * 10**9)
    view = source_status.sources(engine, SOURCE.name)[0].streams
    pace = source_status.event_counts(engine, view, START_NS)[claim.stream_id]
    assert (pace.last_day, sum(pace.hourly)) == (1, 1)
