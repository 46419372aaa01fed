"""The step `open backfill`: which job it creates or continues, and what it rejects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL
from tasks import open_backfill
from tasks.open_backfill import BackfillRequest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.stored_block import StoredBlock

    from tasks.support.job import OpenedJob

HOUR = 3600 * 10**9
DAY = 24 * HOUR


pytestmark = pytest.mark.usefixtures("moving")


def backfill(**members: str | tuple[str, ...]) -> OpenedJob:
    return open_backfill.open_backfill.fn(SOURCE.name, BackfillRequest(**members))  # type: ignore[arg-type]


def test_a_backfill_of_a_span(stored: StoredBlock) -> None:
    opened = backfill(start="7d", end="1d", apis=("audit",), width="6h")
    job = opened.job
    assert (job.kind, job.apis, job.end_ns - job.start_ns) == (BACKFILL, (Api.AUDIT,), 6 * DAY)
    assert opened.notes == ()


def test_continuing_a_paused_backfill_resumes_it(stored: StoredBlock, engine: Engine) -> None:
    job = backfill(start="7d", end="1d").job
    jobs.set_paused(engine, job, paused=True)
    assert backfill(job=job.id).job.paused_ns is not None
    assert jobs.is_paused(engine, job.id)
    assert backfill().job.id == job.id
    assert not jobs.is_paused(engine, job.id)


def test_a_span_that_is_cut_says_so(stored: StoredBlock) -> None:
    opened = backfill(start="2020-01-01")
    assert opened.job.end_ns - opened.job.start_ns == 120 * DAY
    assert "120 days" in " ".join(opened.notes)


def test_without_a_start_the_newest_unfinished_backfill_continues(stored: StoredBlock, moving: MovingClock) -> None:
    backfill(start="9d")
    moving.advance(60)
    newest = backfill(start="8d")
    assert backfill().job.id == newest.job.id


def test_without_a_start_and_an_unfinished_backfill_it_is_an_error(stored: StoredBlock) -> None:
    with pytest.raises(ThirdPartyConfigError, match="No backfill of this source is unfinished"):
        backfill()


def test_a_job_is_continued_by_its_id_but_not_that_of_another_source(engine: Engine, stored: StoredBlock) -> None:
    first = backfill(start="9d").job
    assert backfill(job=first.id).job.id == first.id
    other = replace(SOURCE, id="0" * 31 + "2", name="2Pass")
    sources.save(engine, other)
    stored.edit(name="2Pass", source_id=other.id)
    with pytest.raises(ThirdPartyConfigError, match="of another source"):
        open_backfill.open_backfill.fn("2Pass", BackfillRequest(job=first.id))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"start": "soon"}, "neither a duration nor a time"),
        ({"start": "1d", "end": "2d"}, "start is not before end"),
        ({"start": "1d", "width": "1 day"}, "no duration of a minute or more"),
        ({"start": "1d", "apis": ("door",)}, "door"),
    ],
)
def test_an_invalid_backfill_is_final(stored: StoredBlock, members: dict[str, str], words: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=words) as raised:
        backfill(**members)
    assert raised.value.retry_in is None
