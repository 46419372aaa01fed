"""The page of backfills: a plan, a start on a worker, progress, pause and resume, and reconcile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.console_client import shown_text
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api
from blocks.store import audit_log, sources
from blocks.store.backfill import jobs, windows
from deployments import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

PLAN = f"/backfill?source={SOURCE.id}&start=3d&end=1d"


class FakeRuns:
    """`source_runs` without Prefect: the runs that were requested."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def create_job_run(self, flow: str, source: str, parameters: Mapping[str, Any]) -> str:
        self.calls.append((flow, source, parameters))
        return "the-run"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    fake = FakeRuns()
    monkeypatch.setattr(deferred, "source_runs", fake, raising=False)
    return fake


@pytest.fixture(autouse=True)
def _source(store: Engine) -> None:
    sources.save(store, SOURCE)


def start(operator: ConsoleClient, **form: str) -> str:
    return operator.submit("/backfill", source=SOURCE.id, start="3d", end="1d", window="1d", **form)


def test_a_plan_makes_no_request_and_starts_nothing(store: Engine, viewer: ConsoleClient) -> None:
    text = shown_text(viewer.page(PLAN))
    assert "Windows 6" in text
    assert "Requests about 6" in text
    assert "as fast as the server answers" in text
    assert "Start the backfill" not in text  # only operators start
    assert jobs.newest(store, 9) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("start=1d&end=3d", "start is not before end"),
        ("start=x", "is not a time"),
        ("start=3d&window=1", "no duration"),
        ("start=120d&window=1m", "518,400 windows"),
        ("start=3d&source=other", "no such source"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong(viewer: ConsoleClient, query: str, problem: str) -> None:
    source = "" if "source=" in query else f"source={SOURCE.id}&"
    assert problem in shown_text(viewer.page(f"/backfill?{source}{query}"))


def test_a_backfill_starts_on_a_worker(store: Engine, runs: FakeRuns, operator: ConsoleClient) -> None:
    assert "A run was started (the-run)." in start(operator, **{"api-audit": "on"}, readers="2", parallel_runs="1")
    (job,) = jobs.newest(store, 9)
    assert job.apis == (Api.AUDIT,)
    assert runs.calls == [("backfill", "1Pass", {"source": "1Pass", "job": job.id, "readers": 2, "parallel_runs": 1})]
    record = audit_log.newest(store, 1)[0]
    assert (record.action, record.actor[:3]) == ("backfill", "Ada")
    assert "waiting" in shown_text(operator.page("/backfill"))


def test_without_prefect_the_backfill_waits_in_the_store(
    store: Engine, operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down:
        def create_job_run(self, *_: object) -> None:
            raise FirstPartyGenericError("The Prefect API does not answer.", hint="Start `up`.")

    monkeypatch.setattr(deferred, "source_runs", Down(), raising=False)
    assert "failed The Prefect API does not answer. Start `up`." in shown_text(start(operator))
    assert len(jobs.newest(store, 9)) == 1


@pytest.mark.parametrize("form", [{"readers": "17"}, {"readers": "x"}, {"parallel_runs": "101"}])
def test_a_wrong_number_starts_nothing(
    store: Engine, runs: FakeRuns, operator: ConsoleClient, form: dict[str, str]
) -> None:
    answer = operator.post_form("/backfill", source=SOURCE.id, start="3d", window="1d", **form)
    assert answer.status_code == 400
    assert (jobs.newest(store, 9), runs.calls) == ([], [])


def test_a_job_is_paused_and_resumed(store: Engine, runs: FakeRuns, operator: ConsoleClient) -> None:
    start(operator)
    (job,) = jobs.newest(store, 9)
    assert windows.acquire(store, job.id, "run") is not None
    text = shown_text(operator.page("/backfill"))
    assert "reading" in text
    assert "Pause" in text
    assert "It is paused." in operator.submit(f"/backfill/{job.id}", action="pause")
    assert jobs.is_paused(store, job.id)
    assert "paused since" in shown_text(operator.page("/backfill"))
    operator.submit(f"/backfill/{job.id}", action="resume")
    assert not jobs.is_paused(store, job.id)
    assert [call[2]["job"] for call in runs.calls] == [job.id, job.id]
    assert operator.post_form("/backfill/unknown", action="pause").status_code == 404
    assert operator.post_form(f"/backfill/{job.id}", action="other").status_code == 404


def test_a_reconcile_starts_on_a_worker(store: Engine, runs: FakeRuns, operator: ConsoleClient) -> None:
    assert "A run was started" in operator.submit("/backfill/reconcile", source=SOURCE.id, last="7d")
    assert runs.calls == [("reconcile", "1Pass", {"source": "1Pass", "last": "7d"})]
    record = audit_log.newest(store, 1)[0]
    assert (record.action, record.details) == ("reconcile", {"last": "7d"})
    assert operator.post_form("/backfill/reconcile", source=SOURCE.id, last="soon").status_code == 400


def test_viewers_start_nothing(store: Engine, runs: FakeRuns, viewer: ConsoleClient) -> None:
    for path in ("/backfill", "/backfill/reconcile", "/backfill/x"):
        assert viewer.post_form(path, source=SOURCE.id, start="3d").status_code == 403
    assert (jobs.newest(store, 9), runs.calls) == ([], [])


def test_a_hostile_name_is_text(store: Engine, viewer: ConsoleClient) -> None:
    sources.save(store, replace(SOURCE, name="<script>x</script>\u202e"))
    page = viewer.page(PLAN)
    assert "<script>x" not in page
    assert "\u202e" not in page
