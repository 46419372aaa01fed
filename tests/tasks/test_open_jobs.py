"""The steps `open backfill` and `open reconcile`: which job they create or continue, and what they reject."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import sources, streams
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, RECONCILE
from blocks.store.streams import DrainStats
from tasks import open_backfill, open_reconcile
from tasks.open_backfill import BackfillRequest
from tasks.support import source as loading

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.stored_block import StoredBlock

    from tasks.support.job import OpenedJob

HOUR = 3600 * 10**9
DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    return moving


def backfill(**members: str | tuple[str, ...]) -> OpenedJob:
    return open_backfill.open_backfill.fn(SOURCE.name, BackfillRequest(**members))  # type: ignore[arg-type]


def reconcile(last: str = "48h", *apis: str) -> OpenedJob | None:
    return open_reconcile.open_reconcile.fn(SOURCE.name, last, apis)


def drain(engine: Engine, api: Api) -> None:
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (api,))[0], "run")
    assert claim
    streams.record_drain(engine, claim, clock.now_ns() - HOUR, DrainStats(), by_cursor=False)


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


def test_without_a_start_the_newest_unfinished_backfill_continues(stored: StoredBlock, now: MovingClock) -> None:
    backfill(start="9d")
    now.advance(60)
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


def test_a_reconcile_ends_where_the_last_complete_drain_began(engine: Engine, stored: StoredBlock) -> None:
    backfill(start="1d")  # saves the source
    drain(engine, Api.AUDIT)
    opened = reconcile("48h")
    assert opened
    job = opened.job
    assert (job.kind, job.apis) == (RECONCILE, (Api.AUDIT,))
    assert (job.start_ns, job.end_ns) == (clock.now_ns() - 2 * DAY, clock.now_ns() - HOUR)
    assert len(opened.notes) == 2
    assert "sign-in was not read to its end in the last 48h" in opened.notes[0]


def test_a_reconcile_leaves_out_an_api_that_is_stopped_in_error(engine: Engine, stored: StoredBlock) -> None:
    backfill(start="1d")
    for api in (Api.AUDIT, Api.SIGN_IN):
        drain(engine, api)
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0], "run")
    assert claim
    fingerprint = loading.load_source(SOURCE.name).fingerprint()
    streams.stop(engine, claim, ThirdPartyConfigError("It said no."), fingerprint)
    opened = reconcile("48h", "sign-in", "audit")
    assert opened
    assert opened.job.apis == (Api.AUDIT,)
    assert opened.notes == ("sign-in is stopped in error and was not compared.",)


def test_a_reconcile_of_what_was_never_drained_compares_nothing(stored: StoredBlock) -> None:
    assert reconcile() is None
