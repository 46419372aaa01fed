"""Two that begin a job, cut its windows, or end the last two of them, at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.at_once import at_once, meeting
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import sources
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.tables import JobRow, WindowRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]

DAY = 86_400 * 10**9
END = 20_000 * DAY


@pytest.fixture
def engines(engines: tuple[Engine, Engine]) -> tuple[Engine, Engine]:
    sources.save(engines[0], SOURCE)
    return engines


def job_request(days: int, *apis: Api) -> JobRequest:
    return JobRequest(BACKFILL, SOURCE.id, apis or (Api.AUDIT,), END - days * DAY, END)


def test_who_begins_the_same_job_gets_the_same(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_delete_old", meeting(jobs._delete_old))
    one, other = at_once(*(lambda engine=engine: jobs.start(engine, job_request(3), DAY) for engine in engines))
    assert one == other
    assert rows(f"SELECT count(*) FROM {JobRow.__tablename__}") == [(1,)]
    assert rows(f"SELECT count(*) FROM {WindowRow.__tablename__}") == [(3,)]


def test_a_job_whose_last_two_windows_end_at_once_is_finished(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two APIs: those of one have to wait for each other before."""
    job = jobs.start(engines[0], job_request(1, Api.AUDIT, Api.SIGN_IN), DAY)
    claims = [windows.acquire(engine, job.id, f"run-{number}") for number, engine in enumerate(engines)]
    monkeypatch.setattr(windows, "_finish", meeting(windows._finish))

    def end(number: int) -> None:
        claim = claims[number]
        assert claim
        page = Page("c", has_more=False, events=[Event(f"UUID{number}", claim.start_ns, "{}")], invalid_items=[])
        windows.commit_page(engines[number], claim, page, after=None, api_version="v2", last=True)

    at_once(lambda: end(0), lambda: end(1))
    assert rows("SELECT count(*) FROM windows WHERE done_ns IS NULL") == [(0,)]
    assert jobs.find(engines[0], job.id).finished_ns is not None


def test_windows_that_two_want_to_cut_are_cut_once(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.start(engines[0], job_request(64), 32 * DAY)
    claim = windows.acquire(engines[0], job.id, "run-1")
    assert claim
    page = Page(
        "c", has_more=False, events=[Event(f"UUID{n}", claim.start_ns + n, "{}") for n in range(1000)], invalid_items=[]
    )
    windows.commit_page(engines[0], claim, page, after=None, api_version="v2", last=True)
    monkeypatch.setattr(jobs, "split", meeting(jobs.split))
    at_once(*(lambda engine=engine: jobs.split_dense(engine, job.id, 2) for engine in engines))
    spans = rows("SELECT start_ns, end_ns FROM windows ORDER BY start_ns, end_ns")
    assert len(spans) > 3
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]], "no second is read by two windows"


def test_two_that_resume_a_job_are_recorded_once(engines: tuple[Engine, Engine], rows: Rows) -> None:
    job = jobs.start(engines[0], job_request(3), DAY)
    jobs.set_paused(engines[0], job, paused=True)
    done = at_once(*(lambda engine=engine: jobs.set_paused(engine, job, paused=False) for engine in engines))
    assert sorted(done) == [False, True]
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'backfill resume'") == [(1,)]
