"""The job of a backfill or a reconcile as a run sees it: its windows, its progress, its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.logging import disable_run_logger
from support.values import SOURCE

from blocks import clock
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, ApiProgress, JobRequest, JobView
from tasks.support import job, source
from tasks.support.job import JobProgress, OpenedJob, format_range, part_done, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

HOUR = 3600 * 10**9
START_NS = 1_785_542_400 * 10**9  # 2026-08-01T00:00:00Z


@pytest.fixture
def opened(engine: Engine) -> Iterator[OpenedJob]:
    sources.save(engine, SOURCE)
    source.register_store(SOURCE.id, engine)
    request = JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), START_NS, START_NS + 2 * HOUR)
    with disable_run_logger():
        yield OpenedJob(SOURCE.id, clock.now_ns(), jobs.start(engine, request, HOUR), ())
    del source._of_source[SOURCE.id]


def view(kind: str = BACKFILL) -> JobView:
    return JobView("J", kind, SOURCE.id, START_NS, START_NS + 2 * HOUR, (Api.AUDIT,), START_NS, None)


def progress(api: Api = Api.AUDIT, *, done: int = 1, done_ns: int = HOUR, **counts: int) -> ApiProgress:
    numbers = {"pages": 0, "new": 0, "known": 0, "quarantined": 0, "changed": 0} | counts
    return ApiProgress(api, 2, done, 0, done_ns, 2 * HOUR, error=None, **numbers)


def test_each_window_is_claimed_once_and_again_once_it_is_released(opened: OpenedJob) -> None:
    first, second = job.claim_window(opened), job.claim_window(opened)
    assert first
    assert second
    assert first.id != second.id
    assert job.claim_window(opened) is None
    job.release_windows(opened, [second])
    again = job.claim_window(opened)
    assert again
    assert again.id == second.id


def test_a_stop_counts_only_from_the_opening_of_the_run_on(opened: OpenedJob, engine: Engine) -> None:
    assert not job.stop_requested(opened)
    sources.request_stop(engine, SOURCE.id)
    assert job.stop_requested(opened)
    assert not job.stop_requested(OpenedJob(SOURCE.id, clock.now_ns() + HOUR, opened.job, ()))


def test_a_paused_job_stops_its_runs_until_it_is_resumed(opened: OpenedJob, engine: Engine) -> None:
    assert jobs.set_paused(engine, opened.job, paused=True)
    assert job.stop_requested(opened)
    assert jobs.set_paused(engine, opened.job, paused=False)
    assert not job.stop_requested(opened)


def test_a_store_that_does_not_answer_requests_no_stop(opened: OpenedJob, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE sources RENAME TO away")
    assert not job.stop_requested(opened)


def test_progress_is_read_at_most_every_two_seconds_unless_it_must_be(
    opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress_seen: list[list[ApiProgress]] = []
    artifacts: list[float] = []
    monkeypatch.setattr(job, "on_progress", lambda _job, found: progress_seen.append(found))
    monkeypatch.setattr(job, "create_progress_artifact", lambda progress, **_: artifacts.append(progress) or "id")
    monkeypatch.setattr(job, "update_progress_artifact", lambda _id, progress: artifacts.append(progress))
    shown = JobProgress(SOURCE.name, opened)
    assert not shown.finished, "nothing is known yet"
    shown.refresh()
    shown.refresh()
    assert len(progress_seen) == 1
    assert not shown.finished
    shown.refresh(now=True)
    assert len(progress_seen) == 2
    assert artifacts == [0.0, 0.0]


def test_a_prefect_that_does_not_answer_keeps_no_run_from_reading(
    opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise httpx.ConnectError("no")

    monkeypatch.setattr(job, "create_progress_artifact", fail)
    monkeypatch.setattr(job, "create_table_artifact", fail)
    shown = JobProgress(SOURCE.name, opened)
    shown.refresh()
    assert [one.windows for one in shown.progress] == [2]
    job.report_job.fn(SOURCE.name, opened.job, shown.progress, "done")


@pytest.mark.parametrize(
    ("kind", "key", "row"),
    [
        (BACKFILL, "backfill-table-", {"new": "1,000", "already known": "2", "quarantined": "4"}),
        (RECONCILE, "reconcile-table-", {"not there": "1,000", "changed": "3", "quarantined": "4"}),
    ],
)
def test_the_table_of_a_job(kind: str, key: str, row: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {}
    monkeypatch.setattr(job, "create_table_artifact", arguments.update)
    counts = progress(pages=5, new=1000, known=2, changed=3, quarantined=4)
    job.report_job.fn("1Pass", view(kind), [counts], "It is done.")
    assert arguments["key"].startswith(key)
    assert arguments["description"] == "**1Pass**: It is done."
    (found,) = arguments["table"]
    assert found == {"API": "audit", "windows": "1 of 2", "events": "1,002", "pages": "5"} | row


def test_the_part_that_is_done_is_of_the_span_not_of_the_windows() -> None:
    assert part_done([]) == 0
    assert part_done([progress(done=1, done_ns=HOUR // 2), progress(Api.SIGN_IN, done=1, done_ns=HOUR)]) == 37.5
    assert part_done([progress(done=2, done_ns=2 * HOUR)]) == 100


def test_the_sentence_of_a_backfill() -> None:
    counts = [progress(new=1000, known=1, quarantined=2), progress(Api.SIGN_IN, new=1)]
    assert summarize(view(), counts) == "1,002 events read: 1,001 new, 1 already known; 2 put in quarantine."
    assert summarize(view(), []) == "0 events read: 0 new, 0 already known; 0 put in quarantine."


def test_the_sentence_of_a_reconcile_says_what_is_still_undecided() -> None:
    text = summarize(view(RECONCILE), [progress(new=1, known=9, changed=2)])
    assert text.startswith("10 events compared: 1 were not there, 2 have changed; 0 put in quarantine. ")
    assert text.endswith(job.UNDECIDED)
    assert job.UNDECIDED not in summarize(view(RECONCILE), [progress(known=9)])


def test_the_span_of_a_job() -> None:
    assert format_range(view()) == "2026-08-01T00:00:00Z to 2026-08-01T02:00:00Z"
