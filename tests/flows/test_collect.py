"""The flow against a real Prefect server: states, errors, the 90 minutes, claims."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text
from support.flow_runs import QuickClock, Source, history, outcome
from support.moving_clock import MovingClock
from support.one_machine import wait_until

from blocks import clock
from blocks.events_api.models import Api
from blocks.prefect_names import block_name
from blocks.store import streams
from tasks.support import source as sources_of_blocks

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.prefect

RUNNING = ["Started", "Initialized", "Authenticated", "Collecting"]


def stored(source: Source) -> dict[str, set[str]]:
    engine = source.engine()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT api, body FROM events JOIN streams ON streams.id = stream_id")).all()
    engine.dispose()
    found: dict[str, set[str]] = {}
    for api, body in rows:
        assert body not in found.setdefault(api, set())
        found[api].add(body)
    return found


def truth(source: Source) -> dict[str, set[str]]:
    return {api: {body.decode() for body in source.sandbox.events(api.path, "v2")} for api in Api}


def artifact(source: Source) -> Any:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"collect-{block_name(source.name)}"]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=wanted)


def task_runs(state: State[Any]) -> list[str]:
    """Names of the task runs of the flow run of this state, once all that it made are recorded."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while True:  # Prefect records them by itself, a few seconds later
            found = client.read_task_runs(flow_run_filter=of_run)
            ended = [run for run in found if run.state is not None and run.state.is_final()]
            if len(ended) >= len(Api) and len(ended) == len(found):
                return sorted(run.name.rpartition("-")[0] for run in found)
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


def counted_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    loaded: list[str] = []
    document = sources_of_blocks._document

    def count(name: str) -> Any:
        loaded.append(name)
        return document(name)

    monkeypatch.setattr(sources_of_blocks, "_document", count)
    return loaded


def test_a_run_shows_the_states_of_the_source_and_leaves_a_table(source: Source) -> None:
    state = source.collect()
    assert (outcome(state), state.type.value) == ("Collected", "COMPLETED")
    assert "300 new events (sign-in 100, itemUsage 100, audit 100), the newest" in (state.message or "")
    assert [name for name in history(state) if name in {*RUNNING, "Completed"}] == [*RUNNING, "Completed"]
    assert stored(source) == truth(source)
    status = source.status()
    assert (status.state, status.in_error) == ("Collected", False)
    assert [stream.state for stream in status.streams] == ["ok", "ok", "ok"]
    table = artifact(source)[0].data
    for api in Api:
        assert api in table
    assert "already known" in table


def test_a_run_that_finds_nothing_new_makes_a_task_run_for_each_api_and_no_table(source: Source) -> None:
    source.collect()
    tables = len(artifact(source))
    state = source.collect()
    assert [name for name in history(state) if name in {*RUNNING, "Completed"}] == [*RUNNING, "Completed"]
    assert task_runs(state) == ["collect audit", "collect itemUsage", "collect sign-in"]
    assert len(artifact(source)) == tables
    source.sandbox.arrive(Api.AUDIT.path, 1)
    source.collect()
    assert len(artifact(source)) == tables + 1


def test_the_block_is_loaded_once_a_run(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = counted_loads(monkeypatch)
    source.collect()
    assert loaded == [source.name]
    source.collect()
    assert loaded == [source.name] * 2


def test_each_attempt_after_a_failed_one_loads_the_block(
    source: Source, quick: QuickClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = counted_loads(monkeypatch)
    source.sandbox.fault("500", api="auditevents", times=3)
    source.collect()
    assert len(quick.waits) == 3
    assert len(loaded) >= 1 + 3


def test_opening_is_handed_to_a_task_once_it_is_to_be_tried_again(
    source: Source, quick: QuickClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([httpx.ConnectError("no"), httpx.ConnectError("no")])
    document = sources_of_blocks._document

    def fail_first(name: str) -> Any:
        if error := next(answers, None):
            raise error
        return document(name)

    monkeypatch.setattr(sources_of_blocks, "_document", fail_first)
    state = source.collect()
    assert outcome(state) == "Collected"
    assert len(quick.waits) == 2
    assert "open source" in task_runs(state)


def test_a_failing_api_is_tried_again_with_the_delay_that_the_window_sets(source: Source, quick: QuickClock) -> None:
    """Pins what Prefect does not document: it reads `retry_delay_seconds` after it called `retry_condition_fn`."""
    source.sandbox.fault("500", api="auditevents", times=4)
    state = source.collect()
    assert outcome(state) == "Collected"
    assert len(quick.waits) == 4
    assert all(0.9 <= wait <= 4 for wait in quick.waits)
    assert stored(source) == truth(source)
    assert source.status().streams[2].failing_since_ns is None


def test_retry_after_is_honoured(source: Source, quick: QuickClock) -> None:
    source.sandbox.fault("429", api="itemusages", times=1, retry_after="120")
    assert outcome(source.collect()) == "Collected"
    assert quick.waits == [120.0]


def test_a_refused_token_stops_the_source_until_its_configuration_changes(source: Source) -> None:
    source.collect()
    source.sandbox.fault("revoked")
    state = source.collect()
    assert (outcome(state), state.type.value) == ("ThirdPartyConfigError", "FAILED")
    assert history(state)[-2:] == ["Error", "Failed"]
    assert "refuses the token (401" in (state.message or "")
    assert "base_url" in (state.message or "")
    source.sandbox.clear_requests()
    again = source.collect()
    assert outcome(again) == "ThirdPartyConfigError"
    assert source.sandbox.requests()["total"] == 0
    source.sandbox.clear_faults()
    source.save(token=source.sandbox.issue_token())
    assert outcome(source.collect()) == "Collected"
    assert stored(source) == truth(source)


def test_a_lost_scope_stops_one_api_and_not_the_others(source: Source) -> None:
    source.sandbox.fault("lost_scope", api="auditevents")
    state = source.collect()
    assert outcome(state) == "ThirdPartyConfigError"
    assert "The token has no scope for audit" in (state.message or "")
    assert "200 new events" in (state.message or "")
    assert set(stored(source)) == {"sign-in", "itemUsage"}
    source.sandbox.clear_requests()
    assert outcome(source.collect()) == "ThirdPartyConfigError"
    assert source.request_count("auditevents") == 0
    assert source.request_count("signinattempts") == 1


def test_a_source_that_does_not_exist_says_what_to_do() -> None:
    from flows.collect import collect

    state: State[Any] = collect("missing", return_state=True)
    assert outcome(state) == "ThirdPartyConfigError"
    assert "There is no source named 'missing'. Create it with `onepassword-source apply FILE`" in (state.message or "")


def test_an_invalid_block_is_reported_and_makes_no_request(source: Source) -> None:
    source.save(base_url="https://example.com", api_version="v1", supported_apis=["audit"])
    state = source.collect()
    assert outcome(state) == "ThirdPartyConfigError"
    assert "base_url" in (state.message or "")
    assert source.sandbox.requests()["total"] == 0


def test_introspection_that_fails_stops_nothing(source: Source) -> None:
    source.sandbox.fault("503", api="introspect")
    assert outcome(source.collect()) == "Collected"
    assert stored(source) == truth(source)


def test_two_runs_at_once_are_harmless(source: Source) -> None:
    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda _: source.collect(), range(2)))
    # The run that comes later reads what the other has not claimed yet, which may be nothing.
    assert {"Collected"} <= {outcome(state) for state in states} <= {"Collected", "Skipped"}
    assert stored(source) == truth(source)


@pytest.mark.torture
def test_a_store_that_does_not_answer_is_a_first_party_error(source: Source, quick: QuickClock) -> None:
    source.url = "postgresql://user:hidden-password@127.0.0.1:1/events"
    source.save()
    state = source.collect()
    assert outcome(state) == "FirstPartyGenericError"
    assert "The store did not answer" in (state.message or "")
    assert "hidden-password" not in (state.message or "")
    assert sum(quick.waits) == pytest.approx(5400, abs=1)


@pytest.mark.torture
def test_audit_fails_for_90_minutes_and_the_others_are_collected_every_five(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole 100 minutes of ticks on a clock that only this test moves."""
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    source.sandbox.fault("500", api="auditevents")
    states: list[State[Any]] = []
    first = threading.Thread(target=lambda: states.append(source.collect()), name="tick-0")
    first.start()
    moving.wait_for_sleepers(1)
    failing_since = source.status().streams[2].failing_since_ns
    assert failing_since is not None
    ticks: list[State[Any]] = []
    for minute in range(5, 105, 5):
        _move_to(moving, failing_since + minute * 60 * 10**9, first)
        source.sandbox.arrive("signinattempts", 1)
        source.sandbox.arrive("itemusages", 1)
        ticks.append(source.collect())
    first.join(60)
    assert not first.is_alive()

    while_failing, after = ticks[:17], ticks[18:]
    assert {outcome(state) for state in while_failing} == {"Collected"}
    assert all("audit: retrying since" in (state.message or "") for state in while_failing)
    assert all("2 new events" in (state.message or "") for state in ticks)
    assert outcome(states[0]) == "ThirdPartyGenericError"
    assert {outcome(state) for state in after} == {"ThirdPartyGenericError"}
    stream = source.status().streams[2]
    assert (stream.state, stream.failing_since_ns) == ("ThirdPartyGenericError", failing_since)
    requests = source.request_count("auditevents")
    assert 20 <= requests <= 70
    source.collect()
    assert source.request_count("auditevents") == requests, "a stream that has given up is not requested again"

    engine = source.engine()
    streams.restart(engine, source.status().id)
    engine.dispose()
    source.sandbox.clear_faults()
    assert outcome(source.collect()) == "Collected"
    assert stored(source) == truth(source)


def _move_to(moving: MovingClock, until_ns: int, run: threading.Thread) -> None:
    """Move the clock in steps: at each time at which a sleeper wakes, wait until it sleeps again or has ended."""
    while True:
        wake_ns = moving.next_wake_ns()
        if wake_ns is None or wake_ns > until_ns:
            break
        moving.advance((wake_ns - moving.now_ns()) / 1e9 + 1e-6)
        _wait_until_asleep(moving, run)
    moving.advance((until_ns - moving.now_ns()) / 1e9)


def _wait_until_asleep(moving: MovingClock, run: threading.Thread) -> None:
    while run.is_alive():
        try:
            moving.wait_for_sleepers(1, timeout=1)
        except AssertionError:
            continue
        return


def waiting_run(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> tuple[MovingClock, threading.Thread, list[State[Any]]]:
    """A run in a thread that waits for its next attempt at audit, its clock, and where its state will be."""
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    source.sandbox.fault("500", api="auditevents", times=1)
    states: list[State[Any]] = []
    run = threading.Thread(target=lambda: states.append(source.collect()))
    run.start()
    moving.wait_for_sleepers(1)
    return moving, run, states


def test_a_rotated_token_heals_a_task_that_waits(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    moving, run, states = waiting_run(source, monkeypatch)
    wait_until(lambda: [stream.state for stream in source.status().streams[:2]] == ["ok", "ok"])
    new = source.sandbox.issue_token()
    source.sandbox.revoke(source.sandbox.token)
    source.save(token=new)
    moving.advance(60)
    run.join(60)
    assert outcome(states[0]) == "Collected"
    assert stored(source) == truth(source)


def test_a_changed_configuration_takes_the_claim_of_a_waiting_run(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving, run, states = waiting_run(source, monkeypatch)
    source.save(token=source.sandbox.issue_token())
    assert outcome(source.collect()) == "Collected"
    requests = source.request_count("auditevents")
    moving.advance(600)
    run.join(60)
    assert "Another run reads audit now" in (states[0].message or "")
    assert source.request_count("auditevents") == requests, "the old holder notices before its next request"
    assert stored(source) == truth(source)
