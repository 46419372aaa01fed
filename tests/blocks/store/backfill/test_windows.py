"""Windows of a job: claimed for one run at a time, read with cursors of their own, cut where they are dense."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks.errors import ClaimLostError, FirstPartyGenericError, ThirdPartyConfigError
from blocks.events_api.models import Api, Event, Page
from blocks.events_api.rate_limit import RateWindow
from blocks.store import lifecycle, pages, streams
from blocks.store.backfill import jobs, plan, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest, JobView, split
from blocks.store.backfill.windows import WindowClaim
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

DAY = 86_400 * 10**9
IMPATIENT = {"sqlite": "timeout=0.1", "postgresql": "options=-c%20lock_timeout%3D100"}
END = 20_000 * DAY
START = END - 4 * DAY


@pytest.fixture
def job(engine: Engine, source: SourceRecord) -> JobView:
    return jobs.start(engine, JobRequest(BACKFILL, source.id, tuple(Api), START, END), DAY)


def page(*numbers: int, cursor: str = "c1", more: bool = False) -> Page:
    events = [Event(f"UUID{number}", START + number, f'{{"n": {number}}}') for number in numbers]
    return Page(cursor, has_more=more, events=events, invalid_items=[])


def commit(
    engine: Engine, claim: WindowClaim, committed_page: Page, after: str | None = None, *, last: bool = False
) -> pages.PageCounts:
    return windows.commit_page(engine, claim, committed_page, after=after, api_version="v2", last=last)


def claim_window(engine: Engine, job: JobView, holder: str = "run-1") -> WindowClaim:
    claim = windows.acquire(engine, job.id, holder)
    assert claim
    return claim


@given(st.integers(0, 100), st.integers(1, 1000), st.integers(1, 300))
def test_a_span_is_cut_without_gaps(start: int, length: int, width: int) -> None:
    parts = split(start, start + length, width)
    assert parts[0][0] == start
    assert parts[-1][1] == start + length
    assert all(0 < end - at <= width for at, end in parts)
    assert all(before[1] == after[0] for before, after in pairwise(parts))


def test_a_job_that_is_requested_again_goes_on_until_it_is_finished(engine: Engine, job: JobView, rows: Rows) -> None:
    request = JobRequest(BACKFILL, SOURCE.id, tuple(Api), START, END)
    assert jobs.start(engine, request, DAY) == job
    assert rows("SELECT count(*) FROM windows") == [(12,)]
    assert [one.id for one in jobs.unfinished(engine, SOURCE.id)] == [job.id]
    while claim := windows.acquire(engine, job.id, "run-1"):
        commit(engine, claim, page(), last=True)
    assert jobs.find(engine, job.id).finished_ns is not None
    assert jobs.unfinished(engine, SOURCE.id) == []
    assert jobs.start(engine, request, DAY).id != job.id


def test_too_many_windows_are_an_error_and_nothing_is_created(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    with pytest.raises(ThirdPartyConfigError, match="at most 20,000 are kept"):
        jobs.start(engine, JobRequest(BACKFILL, source.id, tuple(Api), START, END), DAY // 10_000)
    assert rows("SELECT count(*) FROM jobs") == [(0,)]


def test_the_oldest_is_taken_first_and_each_once(store_url: str, engine: Engine, job: JobView) -> None:
    def work(number: int) -> list[WindowClaim]:
        own, found = open_engine(store_url), []
        while claim := windows.acquire(own, job.id, f"run-{number}"):
            found.append(claim)
        own.dispose()
        return found

    with ThreadPoolExecutor(4) as pool:
        each = list(pool.map(work, range(4)))
    assert sorted(claim.id for found in each for claim in found) == sorted({c.id for found in each for c in found})
    assert sum(map(len, each)) == 12
    for found in each:
        assert [claim.start_ns for claim in found] == sorted(claim.start_ns for claim in found)
    assert {one.held for one in jobs.progress(engine, job.id)} == {4}


def test_a_page_and_its_cursor_are_one_and_the_stream_itself_stays(
    engine: Engine, job: JobView, claim: StreamClaim, rows: Rows
) -> None:
    live = rows("SELECT cursor, fence, holder, progress_ns, drained_ns FROM streams ORDER BY id")
    window = claim_window(engine, job)
    assert commit(engine, window, page(1, 2, more=True)) == pages.PageCounts(2, 0, 0)
    assert commit(engine, window, page(2, 3, cursor="c2"), "c1", last=True) == pages.PageCounts(1, 1, 0)
    assert rows("SELECT cursor, fence, holder, progress_ns, drained_ns FROM streams ORDER BY id") == live
    assert rows(f"SELECT events, newest_ns FROM streams WHERE id = {window.stream_id}") == [(3, START + 3)]
    assert rows(f"SELECT pages, new, known, holder FROM windows WHERE id = {window.id}") == [(2, 3, 1, None)]
    streams.renew(engine, claim)


def test_what_was_taken_away_writes_nothing(engine: Engine, job: JobView, moving: MovingClock, rows: Rows) -> None:
    first = claim_window(engine, job)
    commit(engine, first, page(1, more=True))
    moving.advance(241)
    second = claim_window(engine, job, "run-2")
    assert second.id == first.id
    for act in (
        lambda: commit(engine, first, page(2, cursor="c2"), "c1"),
        lambda: windows.renew(engine, first),
        lambda: windows.get(engine, first),
        lambda: windows.restart(engine, first),
    ):
        with pytest.raises(ClaimLostError, match="Another run has taken this window over"):
            act()
    windows.release(engine, first)
    assert windows.get(engine, second).cursor == "c1"
    assert rows("SELECT count(*) FROM events") == [(1,)]


def test_a_cursor_moves_from_where_it_was_read(engine: Engine, job: JobView, rows: Rows) -> None:
    window = claim_window(engine, job)
    commit(engine, window, page(1, more=True))
    with pytest.raises(ClaimLostError):
        commit(engine, window, page(2, cursor="c2"), None)
    with pytest.raises(ClaimLostError):
        commit(engine, window, page(2, cursor="c3"), "c2")
    assert rows("SELECT count(*) FROM events") == [(1,)]


def test_a_claim_is_kept_for_a_wait_and_says_what_for(engine: Engine, job: JobView, moving: MovingClock) -> None:
    window = claim_window(engine, job)
    windows.renew(engine, window, for_seconds=1000, error="429")
    moving.advance(1200)
    assert claim_window(engine, job, "run-2").id != window.id
    assert jobs.progress(engine, job.id)[0].error == "429"
    commit(engine, window, page(1, more=True))
    assert jobs.progress(engine, job.id)[0].error is None


def test_a_deleted_source_is_written_to_by_no_window(engine: Engine, job: JobView, rows: Rows) -> None:
    window = claim_window(engine, job)
    identity = lifecycle.find_by_id(engine, SOURCE.id)
    assert identity
    assert streams.are_claimed(engine, SOURCE.id)
    lifecycle.finish_deletion(engine, identity)
    assert not streams.are_claimed(engine, SOURCE.id)
    with pytest.raises(ClaimLostError):
        commit(engine, window, page(1))
    assert windows.acquire(engine, job.id, "run-2") is None
    assert rows("SELECT count(*) FROM events") == [(0,)]
    lifecycle.purge(engine, identity)
    assert rows("SELECT (SELECT count(*) FROM windows), (SELECT count(*) FROM jobs)") == [(0, 0)]


def test_a_clock_that_is_set_back_blocks_no_run(engine: Engine, job: JobView, moving: MovingClock) -> None:
    window = claim_window(engine, job)
    moving.advance(-100_000)
    assert claim_window(engine, job, "run-2").id == window.id


def test_dense_ones_that_were_not_begun_are_cut_and_the_others_stay(engine: Engine, job: JobView, rows: Rows) -> None:
    spans = "SELECT start_ns, end_ns FROM windows WHERE stream_id = {} ORDER BY start_ns"
    first = claim_window(engine, job)
    begun = next(claim for claim in iter(lambda: claim_window(engine, job), None) if claim.stream_id == first.stream_id)
    commit(engine, begun, page(900, more=True))
    commit(engine, first, page(*range(400)), last=True)
    assert jobs.split_dense(engine, job.id, 1) == 2 * 7  # 400 events a day, 50 wanted: two are left to be cut, in eight
    of_stream = rows(spans.format(first.stream_id))
    assert len(of_stream) == 4 + 14
    assert (begun.start_ns, begun.end_ns) in of_stream
    assert all(before[1] == after[0] for before, after in pairwise(of_stream))
    assert (of_stream[0][0], of_stream[-1][1]) == (START, END)
    assert jobs.split_dense(engine, job.id, 1) == 0


def test_where_nothing_is_to_be_cut_nothing_is_locked(engine: Engine, job: JobView, store_url: str) -> None:
    """While another process writes, and holds what SQLite has but one of."""
    first = claim_window(engine, job)
    commit(engine, first, page(*range(5)), last=True)
    other = open_engine(store_url)
    with other.begin() as connection:
        connection.execute(text("UPDATE windows SET pages = pages"))
        impatient = open_engine(f"{store_url}{'&' if '?' in store_url else '?'}{IMPATIENT[other.dialect.name]}")
        assert jobs.split_dense(impatient, job.id, 1000) == 0
        with pytest.raises(FirstPartyGenericError):
            jobs.split_dense(impatient, job.id, 0)
        impatient.dispose()
    other.dispose()


def test_progress_is_the_time_that_is_covered(engine: Engine, job: JobView) -> None:
    while (window := claim_window(engine, job)).api != Api.AUDIT:
        windows.renew(engine, window)
    commit(engine, window, page(*range(5)), last=True)
    sign_in, _, audit = jobs.progress(engine, job.id)
    assert (audit.api, audit.windows, audit.done, audit.done_ns, audit.span_ns) == (Api.AUDIT, 4, 1, DAY, 4 * DAY)
    assert (audit.pages, audit.read, audit.new, audit.finished) == (1, 5, 5, False)
    assert (sign_in.done, sign_in.held) == (0, 1)


def test_a_plan_counts_stored_events_and_estimates_the_rest(engine: Engine, claim: StreamClaim) -> None:
    events = [Event(f"U{number}", START + number, "{}") for number in range(2500)]
    pages.commit_page(
        engine, claim, Page("c", has_more=False, events=events, invalid_items=[]), after=None, api_version="v2"
    )
    found = plan.plan(engine, JobRequest(BACKFILL, SOURCE.id, tuple(Api), START, END), DAY, 1000)
    audit = [(one.known, one.requests) for one in found if one.api == Api.AUDIT]
    assert audit == [(2500, 3), (0, 3), (0, 3), (0, 3)]
    assert {(one.known, one.requests) for one in found if one.api != Api.AUDIT} == {(0, 1)}
    assert (found[0].start_ns, found[-1].end_ns) == (START, END)


@pytest.mark.parametrize(
    ("requests", "seconds"), [(0, 0), (480, 0), (960, 60), (24_000, 49 * 60), (48_000, 99 * 60), (72_000, 149 * 60)]
)
def test_the_time_at_the_rate_limits(requests: int, seconds: float) -> None:
    limits = (RateWindow(600, 60.0), RateWindow(30_000, 3600.0))
    assert plan.estimated_seconds(requests, limits, 0.8) == pytest.approx(seconds)
