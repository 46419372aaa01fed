"""Jobs: recorded when a person starts, pauses or resumes them, and listed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import audit_log, lifecycle, sources
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, JobRequest, JobView

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.sources import SourceRecord

DAY = 86_400 * 10**9
START = 20_710 * DAY


def started(engine: Engine, kind: str = BACKFILL, source_id: str = SOURCE.id, days: int = 1) -> JobView:
    return jobs.start(engine, JobRequest(kind, source_id, (Api.AUDIT,), START, START + days * DAY), DAY)


def actions(engine: Engine) -> list[str]:
    """Those after the creation of the source, oldest first."""
    return [one.action for one in audit_log.newest(engine)][-2::-1]


@pytest.fixture(autouse=True)
def _source(source: SourceRecord) -> None:
    pass


def test_a_pause_and_a_resume_are_recorded_once(engine: Engine) -> None:
    job = started(engine)
    assert [jobs.set_paused(engine, job, paused=True) for _ in range(2)] == [True, False]
    assert jobs.is_paused(engine, job.id)
    assert jobs.find(engine, job.id).paused_ns is not None
    assert [jobs.set_paused(engine, job, paused=False) for _ in range(2)] == [True, False]
    assert not jobs.is_paused(engine, job.id)
    assert actions(engine) == ["backfill", "backfill pause", "backfill resume"]
    assert audit_log.newest(engine)[0].details == {
        "job": job.id,
        "start": "2026-09-14T00:00:00Z",
        "end": "2026-09-15T00:00:00Z",
        "apis": "audit",
    }


def test_the_same_backfill_again_resumes_it(engine: Engine) -> None:
    job = started(engine)
    jobs.set_paused(engine, job, paused=True)
    assert started(engine) == job
    assert not jobs.is_paused(engine, job.id)


def test_a_daily_reconcile_is_not_recorded(engine: Engine) -> None:
    started(engine, RECONCILE)
    assert actions(engine) == []


def test_unfinished_backfills_are_listed_first(engine: Engine, moving: MovingClock) -> None:
    first = started(engine)
    moving.advance(1)
    second = started(engine, RECONCILE)
    moving.advance(1)
    third = started(engine, days=2)
    assert [one.id for one in jobs.newest(engine, 9)] == [third.id, first.id, second.id]
    assert [one.id for one in jobs.newest(engine, 1)] == [third.id]


def test_jobs_of_deleted_sources_are_not_listed(engine: Engine) -> None:
    sources.save(engine, replace(SOURCE, id="2" * 32, name="other"))
    started(engine, source_id="2" * 32)
    kept = started(engine)
    known = lifecycle.find(engine, "other")
    assert known
    lifecycle.finish_deletion(engine, known)
    assert [one.id for one in jobs.newest(engine, 9)] == [kept.id]
