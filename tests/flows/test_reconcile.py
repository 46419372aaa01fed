"""The flow of reconciles against a real Prefect server: what was missed, what was late, what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import Source, artifacts, bodies, outcome, query_store, truth
from support.values import require_proof

from blocks.events_api.models import Api
from blocks.store import streams
from blocks.store.engine import open_engine
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.prefect

PER_API = 300
COUNTS = "SELECT undecided, late, missed, changed FROM streams ORDER BY id"


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Source]:
    """Two days of events, of which nothing is collected yet."""
    with running_sandbox(events=3 * PER_API, days=2) as sandbox:
        made = Source(f"1Pass {request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        made.save()
        yield made


def reconcile(source: Source, **wishes: Any) -> State[Any]:
    from flows.reconcile import reconcile as flow

    state: State[Any] = flow(source.name, return_state=True, **{"last": "3d", **wishes})
    return state


def reported(source: Source) -> list[tuple[str, str, str]]:
    query = "SELECT name, api, description FROM health_events WHERE name LIKE 'Events%' ORDER BY id"
    return query_store(source, query)  # type: ignore[return-value]


def test_what_is_complete_stays_as_it_is(source: Source) -> None:
    source.collect()
    before = query_store(source, "SELECT cursor, fence, drained_ns, events FROM streams ORDER BY id")
    state = reconcile(source)
    assert (outcome(state), state.type.value) == ("Reconciled", "COMPLETED")
    assert f"{3 * PER_API:,} events compared: 0 were not there, 0 have changed; 0 put in quarantine." in state.message
    assert query_store(source, "SELECT cursor, fence, drained_ns, events FROM streams ORDER BY id") == before
    assert query_store(source, COUNTS) == [(0, 0, 0, 0)] * 3
    assert artifacts(source, "reconcile-")[-1].data == 100
    assert "not there" in artifacts(source, "reconcile-table-")[-1].data
    assert reported(source) == []
    report = artifacts(source, "coverage-")[-1].data
    assert all(api in report for api in Api)


def test_what_the_server_left_out_was_missed(source: Source) -> None:
    source.sandbox.fault("omitted", api="auditevents", count=7, times=1)
    source.collect()
    assert len(bodies(source)) == 3 * PER_API - 7
    state = reconcile(source)
    assert "7 were not there" in (state.message or "")
    assert bodies(source) == truth(source)
    assert sorted(query_store(source, COUNTS)) == [(0, 0, 0, 0), (0, 0, 0, 0), (7, 0, 0, 0)]
    source.collect()
    assert sorted(query_store(source, COUNTS)) == [(0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 7, 0)]
    ((name, api, description),) = reported(source)
    assert (name, api) == ("EventsMissed", "audit")
    assert description.startswith("Live collection of audit had missed 7 events: ")
    for uuid, _ in query_store(source, "SELECT uuid, time_ns FROM late_or_missed ORDER BY time_ns LIMIT 5"):
        assert uuid in description
    engine = open_engine(source.url)
    assert require_proof(engine) >= 4
    engine.dispose()


def test_what_arrives_late_is_late(source: Source) -> None:
    source.collect()
    source.sandbox.arrive("itemusages", 4, late=3600.0)
    assert "4 were not there" in (reconcile(source, apis=["itemUsage"]).message or "")
    assert "0 new events" in (source.collect().message or "")
    assert sorted(query_store(source, COUNTS)) == [(0, 0, 0, 0), (0, 0, 0, 0), (0, 4, 0, 0)]
    assert reported(source) == []
    assert bodies(source) == truth(source)


def test_what_is_younger_than_the_last_collection_is_not_compared(source: Source) -> None:
    source.collect()
    source.sandbox.advance(2)  # some events have times of whole seconds: those are not to be of the second before
    source.sandbox.arrive("auditevents", 5, late=0.0)
    assert "0 were not there" in (reconcile(source).message or "")
    assert "5 new events" in (source.collect().message or "")


def test_a_body_that_has_changed_is_reported_and_kept(source: Source) -> None:
    source.collect()
    before = bodies(source)
    source.sandbox.fault("unknown_members", api="auditevents", times=1)
    state = reconcile(source, apis=["audit"], readers=1)
    ((changed,),) = query_store(source, "SELECT changed FROM streams WHERE api = 'audit'")
    assert changed > 0
    assert f"0 were not there, {changed} have changed" in (state.message or "")
    assert bodies(source) == before
    assert query_store(source, "SELECT count(*), count(DISTINCT uuid) FROM changed_bodies") == [(changed, changed)]
    assert {(name, api) for name, api, _ in reported(source)} == {("EventsChanged", "audit")}


def test_no_request_is_made_for_an_api_that_is_stopped_in_error(source: Source) -> None:
    source.collect()
    source.sandbox.fault("lost_scope", api="auditevents")
    source.collect()
    source.collect()
    requests = source.sandbox.requests()["endpoints"]["POST /api/v2/auditevents"]["requests"]
    state = reconcile(source)
    assert "audit is stopped in error and was not compared." in (state.message or "")
    assert f"{2 * PER_API:,} events compared" in (state.message or "")
    assert source.sandbox.requests()["endpoints"]["POST /api/v2/auditevents"]["requests"] == requests


def test_where_nothing_was_collected_there_is_nothing_to_compare(source: Source) -> None:
    state = reconcile(source)
    assert (outcome(state), state.type.value) == ("Reconciled", "COMPLETED")
    assert "there is nothing to compare" in (state.message or "")
    assert source.request_count() == 0


def test_a_wrong_span_is_an_error_that_says_so(source: Source) -> None:
    for last in ("soon", "0h", "10s"):
        state = reconcile(source, last=last)
        assert outcome(state) == "ThirdPartyConfigError"
        assert f"The last {last!r} is no duration of a minute or more. Give one such as 48h or 7d." in state.message


def test_a_stop_ends_it_after_its_page(source: Source) -> None:
    source.collect()
    engine = open_engine(source.url)
    from tasks import read_job

    with pytest.MonkeyPatch.context() as patch:
        real = read_job.claim_window

        def and_stop(opened: Any) -> Any:
            from blocks.store import sources

            claim = real(opened)
            sources.request_stop(engine, opened.source_id)
            return claim

        patch.setattr(read_job, "claim_window", and_stop)
        state = reconcile(source, readers=1)
    assert (outcome(state), state.type.value) == ("Stopped", "CANCELLED")
    assert "windows are left." in (state.message or "")
    assert not streams.are_claimed(engine, query_store(source, "SELECT id FROM sources")[0][0])
    engine.dispose()
    assert {api for (api,) in query_store(source, "SELECT api FROM streams")} == set(Api)
