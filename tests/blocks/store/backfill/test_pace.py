"""The time left of a job follows from the windows that were finished lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks.events_api.models import Api, Page
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.backfill.pace import LATELY_NS, time_left_ns

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.sources import SourceRecord

DAY = 86_400 * 10**9
MINUTE = 60 * 10**9


def test_the_time_left_follows_from_the_last_windows(engine: Engine, source: SourceRecord, moving: MovingClock) -> None:
    job = jobs.start(engine, JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), 0, 5 * DAY), DAY)
    assert time_left_ns(engine, job.id) is None
    for _ in range(2):  # each takes a minute, from its first page to its last
        claim = windows.acquire(engine, job.id, "run")
        assert claim
        for cursor, last in (("c1", False), ("c2", True)):
            after = None if cursor == "c1" else "c1"
            page = Page(cursor, has_more=not last, events=[], invalid_items=[])
            windows.commit_page(engine, claim, page, after=after, api_version="v2", last=last)
            moving.advance(30)
    assert time_left_ns(engine, job.id) == pytest.approx(3 * MINUTE, rel=0.1)
    moving.advance(LATELY_NS / 1e9)
    assert time_left_ns(engine, job.id) is None
