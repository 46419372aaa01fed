"""The step `open reconcile`: what it compares, up to where, and what it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import streams
from blocks.store.backfill.jobs import RECONCILE
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


pytestmark = pytest.mark.usefixtures("moving")


def backfill(**members: str | tuple[str, ...]) -> OpenedJob:
    return open_backfill.open_backfill.fn(SOURCE.name, BackfillRequest(**members))  # type: ignore[arg-type]


def reconcile(last: str = "48h", *apis: str) -> OpenedJob | None:
    return open_reconcile.open_reconcile.fn(SOURCE.name, last, apis)


def drain(engine: Engine, api: Api) -> None:
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (api,))[0], "run")
    assert claim
    streams.record_drain(engine, claim, clock.now_ns() - HOUR, DrainStats(), by_cursor=False)


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
