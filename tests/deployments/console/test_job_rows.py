"""The row of a backfill or reconcile: its state."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.events_api.models import Api
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, ApiProgress, JobView
from deployments.console.job_rows import JobRow


def job(kind: str = BACKFILL, *, held: int = 0, error: str | None = None, **members: Any) -> JobRow:
    view = JobView("J", kind, "S", 0, 4, (Api.AUDIT,), 0, members.get("finished_ns"), members.get("paused_ns"))
    progress = ApiProgress(Api.AUDIT, 4, 1, held, 1, 4, 0, 0, 0, 0, 0, error)
    return JobRow(view, "1Pass", (progress,), None)


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (job(finished_ns=1), "finished"),
        (job(paused_ns=1, held=1), "paused"),
        (job(held=1, error="It timed out."), "reading"),
        (job(error="It timed out."), "failed"),
        (job(), "waiting"),
        (job(RECONCILE), "ended early"),
    ],
)
def test_a_job_has_a_state(row: JobRow, state: str) -> None:
    assert row.state == state
    assert row.part == 0.25
