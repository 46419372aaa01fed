"""The flow of backfills against a real Prefect server: windows, resuming, what a person reads."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import QuickClock, Source, artifacts, bodies, outcome, query_store, truth

from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.backfill import jobs
from blocks.store.engine import open_engine
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.prefect

PER_API = 600


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Source]:
    """Six days of events, of which nothing is collected yet."""
    with running_sandbox(events=3 * PER_API, days=6) as sandbox:
        made = Source(f"1Pass {request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        made.save()
        yield made


def backfill(source: Source, start: str | None = "7d", **wishes: Any) -> State[Any]:
    from flows.backfill import backfill as flow

    state: State[Any] = flow(source.name, start, return_state=True, **{"window": "3d", **wishes})
    return state


def test_a_span_is_read_in_windows_and_only_what_is_missing_is_new(source: Source) -> None:
    state = backfill(source, "4d", end="2d", window="1d")
    assert (outcome(state), state.type.value) == ("Backfilled", "COMPLETED")
    part = len(bodies(source))
    assert 0 < part < 3 * PER_API
    assert f"{part:,} new, " in (state.message or "")
    assert set(bodies(source)) <= set(truth(source))
    assert query_store(source, "SELECT count(*), count(done_ns), count(holder) FROM windows") == [(6, 6, 0)]
    again = backfill(source)
    assert f"{3 * PER_API - part:,} new" in (again.message or "")
    assert bodies(source) == truth(source)
    assert query_store(source, "SELECT sum(events) FROM streams") == [(3 * PER_API,)]
    assert query_store(source, "SELECT cursor, drained_ns, holder FROM streams") == [(None, None, None)] * 3
    assert artifacts(source, "backfill-")[-1].data == 100
    table = artifacts(source, "backfill-table-")[-1].data
    assert all(api in table for api in Api)


def test_live_collection_is_not_touched_and_the_other_way_round(source: Source) -> None:
    source.collect()
    before = query_store(source, "SELECT cursor, drained_ns, newest_ns, fence FROM streams")
    state = backfill(source, apis=["audit"])
    assert f"0 new, {PER_API} already known" in (state.message or "")
    assert query_store(source, "SELECT cursor, drained_ns, newest_ns, fence FROM streams") == before
    source.sandbox.arrive("auditevents", 5)
    assert "5 new events" in (source.collect().message or "")
    assert source.status().state == "Collected"


def test_a_refused_token_ends_it_and_a_backfill_without_a_start_goes_on(source: Source) -> None:
    source.sandbox.fault("revoked", skip=4)
    state = backfill(source, readers=1)
    assert (outcome(state), state.type.value) == ("ThirdPartyConfigError", "FAILED")
    assert "refuses the token" in (state.message or "")
    done = query_store(source, "SELECT count(done_ns) FROM windows")[0][0]
    assert query_store(source, "SELECT count(*) FROM windows WHERE error IS NOT NULL AND holder IS NULL") == [(1,)]
    source.sandbox.clear_faults()
    requests = source.request_count()
    state = backfill(source, None)
    assert outcome(state) == "Backfilled"
    assert bodies(source) == truth(source)
    assert query_store(source, "SELECT count(*) FROM jobs") == [(1,)]
    assert source.request_count() - requests <= query_store(source, "SELECT count(*) FROM windows")[0][0] - done + 1, (
        "none is read twice"
    )
    nothing = backfill(source, None)
    assert "No backfill of this source is unfinished" in (nothing.message or "")


def test_a_429_is_waited_for_and_everybody_waits(source: Source, quick: QuickClock) -> None:
    source.sandbox.fault("429", times=1, retry_after="300")
    before_ns = quick.now_ns()
    state = backfill(source, readers=1)
    assert outcome(state) == "Backfilled"
    assert quick.waits == [300.0]
    assert bodies(source) == truth(source)
    ((paused_until_ns,),) = query_store(source, "SELECT paused_until_ns FROM rate_limits")
    assert abs(paused_until_ns - before_ns - 300 * 10**9) < 60 * 10**9


def test_a_rejected_cursor_restarts_its_window(source: Source) -> None:
    source.sandbox.fault("400", api="auditevents", on="cursor", times=1)
    source.save(supported_apis=["audit"])
    engine_state = backfill(source, "7d", window="4d")
    assert outcome(engine_state) == "Backfilled", engine_state.message
    assert len(bodies(source)) == PER_API


def test_another_stop_request_ends_it_after_its_page(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import read_job

    engine = open_engine(source.url)
    real = read_job.claim_window

    def and_stop(opened: Any) -> Any:
        claim = real(opened)
        sources.request_stop(engine, opened.source_id)
        return claim

    monkeypatch.setattr("tasks.read_job.claim_window", and_stop)
    state = backfill(source, readers=1)
    assert (outcome(state), state.type.value) == ("Stopped", "CANCELLED")
    assert "A run without a start reads them" in (state.message or "")
    assert query_store(source, "SELECT count(*) FROM windows WHERE holder IS NOT NULL") == [(0,)]
    monkeypatch.undo()
    time.sleep(0.01)
    assert outcome(backfill(source, None)) == "Backfilled"
    assert bodies(source) == truth(source)
    engine.dispose()


def test_a_pause_ends_its_runs_and_a_resumed_job_is_read_to_its_end(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import read_job

    engine = open_engine(source.url)
    real = read_job.claim_window

    def and_pause(opened: Any) -> Any:
        claim = real(opened)
        jobs.set_paused(engine, opened.job, paused=True)
        return claim

    monkeypatch.setattr("tasks.read_job.claim_window", and_pause)
    assert outcome(backfill(source, readers=1)) == "Stopped"
    monkeypatch.undo()
    (job,) = jobs.newest(engine, 9)
    before = len(bodies(source))
    assert outcome(backfill(source, None, job=job.id)) == "Stopped", "a queued run of a paused job reads nothing"
    assert len(bodies(source)) == before
    jobs.set_paused(engine, job, paused=False)
    assert outcome(backfill(source, None, job=job.id)) == "Backfilled"
    assert bodies(source) == truth(source)
    engine.dispose()


def test_a_store_that_does_not_answer_for_a_while_is_waited_for(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(range(3))
    real = jobs.progress

    def progress(*arguments: Any) -> Any:
        if next(failures, None) is not None:
            raise FirstPartyGenericError("The database does not answer.", code="store")
        return real(*arguments)

    monkeypatch.setattr(jobs, "progress", progress)
    monkeypatch.setattr("tasks.read_job.STORE_SECONDS", 0.1)
    monkeypatch.setattr("tasks.support.job.REFRESH_SECONDS", 0.0)
    state = backfill(source)
    assert outcome(state) == "Backfilled"
    assert next(failures, None) is None, "it was looked at often enough to fail"
    assert bodies(source) == truth(source)


NONSENSE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("yesterday", {"end": "tomorrow"}, "start: 'yesterday' is not a time"),
    ("2d", {"end": "4d"}, "start is not before end"),
    ("300d", {"end": "200d"}, "1Password keeps no older events"),
    ("4d", {"window": "1"}, "is no duration of a minute or more"),
    ("4d", {"job": "none"}, "There is no backfill 'none'"),
)


def test_invalid_parameters_fail_before_the_first_request(source: Source) -> None:
    for start, wishes, said in NONSENSE:
        state = backfill(source, start, **wishes)
        assert outcome(state) == "ThirdPartyConfigError"
        assert said in (state.message or "")
    assert source.request_count() == 0


def test_a_start_of_long_ago_is_cut_and_says_so(source: Source) -> None:
    state = backfill(source, "2020-01-01", window="30d")
    assert "1Password keeps 120 days, so it begins there." in (state.message or "")
    assert bodies(source) == truth(source)


def test_windows_that_were_not_begun_are_cut_where_the_events_are_dense(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PAGES_WANTED", 1)
    monkeypatch.setattr("tasks.support.job.PAGE_SIZE", 20)
    monkeypatch.setattr("tasks.support.job.REFRESH_SECONDS", 0.0)
    state = backfill(source, readers=1, window="1d")
    assert outcome(state) == "Backfilled"
    spans = query_store(source, "SELECT stream_id, start_ns, end_ns, done_ns FROM windows ORDER BY stream_id, start_ns")
    assert len(spans) > 3 * 7
    for (stream, _, end, _), (following, start, _, _) in itertools.pairwise(spans):
        assert stream != following or end == start, "they still join"
    assert bodies(source) == truth(source)


def test_the_form_of_the_ui_shows_calendars_and_sends_no_empty_field() -> None:
    """As seen in a browser: the form shows a field that may be None as a switch, and refuses None as a default."""
    from flows.backfill import backfill as flow

    shown = flow.parameters.properties
    assert [(shown[name]["type"], shown[name]["format"]) for name in ("start", "end")] == [("string", "date-time")] * 2
    assert shown["apis"]["items"]["enum"] == list(Api)
    assert [name for name, one in shown.items() if "anyOf" in one or one.get("default", "") is None] == []


def test_a_run_bears_the_name_of_its_source(source: Source) -> None:
    from prefect.client.orchestration import get_client

    state = backfill(source, "4d", end="2d", apis=["audit"])
    with get_client(sync_client=True) as client:
        assert state.state_details.flow_run_id
        assert client.read_flow_run(state.state_details.flow_run_id).name == f"backfill {source.name}"
