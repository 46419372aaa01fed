"""Health events of real runs: one for each change, stored, and emitted on a real Prefect server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.flow_runs import QuickClock, Source, history, outcome
from support.one_machine import wait_until

from blocks import settings
from blocks.store import sources

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.prefect


def reported(source: Source) -> list[tuple[str, str, str]]:
    engine = source.engine()
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, severity, tracker FROM health_events ORDER BY id")).all()
    engine.dispose()
    return [(row.name, row.severity, row.tracker) for row in rows]


def emitted(source: Source) -> list[dict[str, Any]]:
    from prefect.client.orchestration import get_client

    resource = {"id": [f"onepassword-source.source.{source.status().id}"]}
    wanted = {"filter": {"resource": resource, "order": "ASC"}}
    with get_client(sync_client=True) as client:
        return list(client.request("POST", "/events/filter", json=wanted).json()["events"])


def test_a_refused_token_is_one_event_however_many_runs_find_it(source: Source) -> None:
    source.collect()
    source.sandbox.fault("revoked")
    for _ in range(3):
        source.collect()
    assert reported(source) == [("ThirdPartyConfigError", "Error", "error")]
    source.sandbox.clear_faults()
    source.save(token=source.sandbox.issue_token())
    source.collect()
    source.collect()
    assert reported(source) == [("ThirdPartyConfigError", "Error", "error"), ("Recovered", "Error", "error")]
    assert count(source, "SELECT count(*) FROM health_events WHERE published_ns IS NULL") == 0

    first, second = wait_until(lambda: (found := emitted(source)) and len(found) == 2 and found)
    assert first["event"] == "onepassword-source.health.ThirdPartyConfigError"
    assert first["resource"]["onepassword-source.severity"] == "Error"
    assert first["resource"]["onepassword-source.status"] == "UnHealthy"
    assert first["payload"]["details"]["errorCode"] == "401"
    assert first["payload"]["eventId"] == first["id"]
    assert first["related"][0]["prefect.resource.role"] == "flow-run"
    assert second["payload"]["status"] == "Healthy"


def test_an_error_that_ends_within_a_run_is_no_health_event(source: Source, quick: QuickClock) -> None:
    source.sandbox.fault("500", api="auditevents", times=4)
    source.collect()
    assert reported(source) == []


def test_ninety_minutes_of_503_are_a_warning_then_an_error_then_a_recovery(source: Source, quick: QuickClock) -> None:
    source.sandbox.fault("503", api="auditevents")
    assert outcome(source.collect()) == "ThirdPartyGenericError"
    source.sandbox.clear_faults()
    source.save(token=source.sandbox.issue_token())
    assert outcome(source.collect()) == "Collected"
    assert [one for one in reported(source) if one[2] == "error/audit"] == [
        ("ThirdPartyGenericError", "Warning", "error/audit"),
        ("ThirdPartyGenericError", "Error", "error/audit"),
        ("Recovered", "Error", "error/audit"),
    ]


@pytest.mark.torture
def test_a_scope_that_comes_back_heals_its_api_by_itself(source: Source) -> None:
    source.collect()
    source.sandbox.fault("lost_scope", api="auditevents")
    assert outcome(source.collect()) == "ThirdPartyConfigError"
    source.sandbox.clear_faults()
    source.collect()
    assert outcome(source.collect()) == "Collected"
    assert reported(source) == [
        ("ScopeLost", "Warning", "scope/auditevents"),
        ("ThirdPartyConfigError", "Error", "error/audit"),
        ("ScopeGained", "Warning", "scope/auditevents"),
        ("Recovered", "Error", "error/audit"),
    ]


@pytest.mark.torture
def test_a_token_of_another_account_is_refused_until_the_account_is_unpinned(source: Source) -> None:
    source.collect()
    before = source.status()
    source.save(token=source.sandbox.issue_token(account="ANOTHERACCOUNT"))
    state = source.collect()
    assert outcome(state) == "ThirdPartyConfigError"
    assert "The token is of account ANOTHERACCOUNT" in (state.message or "")
    requests = source.request_count()
    assert outcome(source.collect()) == "ThirdPartyConfigError"
    assert source.request_count() == requests, "not one page was requested with it"
    assert source.status().account_uuid == before.account_uuid
    engine = source.engine()
    sources.unpin_account(engine, before.id)
    engine.dispose()
    source.save(token=source.sandbox.issue_token(account="ANOTHERACCOUNT"), silence_after="48h")
    source.collect()
    assert source.status().account_uuid == "ANOTHERACCOUNT"


@pytest.mark.torture
def test_an_unreachable_store_is_reported_at_once_and_recorded_when_it_answers_again(
    source: Source, quick: QuickClock, tmp_path: Path
) -> None:
    source.collect()
    good = source.url
    source.url = "postgresql://user@127.0.0.1:1/events"
    source.save()
    assert outcome(source.collect()) == "FirstPartyGenericError"
    kept = settings.data_dir() / f"unstored-health-{source_id(source)}.jsonl"
    assert len(kept.read_text().splitlines()) == 2
    assert kept.stat().st_mode & 0o777 == 0o600
    source.url = good
    source.save()
    assert outcome(source.collect()) == "Collected"
    found = [one for one in reported(source) if one[2] == "error"]
    assert found == [
        ("FirstPartyGenericError", "Warning", "error"),
        ("FirstPartyGenericError", "Error", "error"),
        ("Recovered", "Error", "error"),
    ]
    assert not kept.exists()


def source_id(source: Source) -> str:
    return f"{abs(hash(source.name)):032x}"


@pytest.mark.torture
def test_after_a_rejected_cursor_only_one_request_with_a_start_time_is_made(source: Source) -> None:
    source.collect()
    source.sandbox.fault("rejected_cursor", api="auditevents")
    assert outcome(source.collect()) == "Collected"
    assert outcome(source.collect()) == "ThirdPartyConfigError"
    requests = source.request_count("auditevents")
    assert outcome(source.collect()) == "ThirdPartyConfigError"
    assert source.request_count("auditevents") == requests
    assert [name for name, _, _ in reported(source)] == ["CursorRejected", "ThirdPartyConfigError"]


@pytest.mark.torture
def test_a_token_that_is_replaced_between_two_pages_is_no_change_of_health(source: Source) -> None:
    source.sandbox.arrive("auditevents", 3000)
    source.sandbox.fault("delay", api="auditevents", seconds=1.0)
    states: list[State[Any]] = []
    run = threading.Thread(target=lambda: states.append(source.collect()), daemon=True)
    run.start()
    wait_until(lambda: source.request_count("auditevents"))
    old = source.sandbox.token
    source.save(token=source.sandbox.issue_token())
    source.sandbox.revoke(old)
    run.join(90)
    assert outcome(states[0]) == "Collected"
    assert count(source, "SELECT count(*) FROM events") == 3300
    assert reported(source) == []


def test_an_invalid_block_and_its_correction_are_reported(source: Source) -> None:
    source.collect()
    source.save(base_url="https://example.com")
    for _ in range(2):
        assert outcome(source.collect()) == "ThirdPartyConfigError"
    assert reported(source) == [("ThirdPartyConfigError", "Error", "error")]
    assert source.status().state == "ThirdPartyConfigError"
    source.save()
    assert outcome(source.collect()) == "Collected"
    assert reported(source)[-1] == ("Recovered", "Error", "error")


def test_a_stop_request_ends_a_run_after_its_page_and_a_later_run_continues(source: Source) -> None:
    source.collect()
    source.sandbox.arrive("auditevents", 5000)
    source.sandbox.fault("delay", api="auditevents", seconds=0.7)
    states: list[State[Any]] = []
    run = threading.Thread(target=lambda: states.append(source.collect()), daemon=True)
    run.start()
    wait_until(lambda: count(source, "SELECT count(*) FROM events") > 300)
    engine = source.engine()
    sources.request_stop(engine, source_id(source))
    engine.dispose()
    run.join(60)
    assert (states[0].type.value, outcome(states[0])) == ("CANCELLED", "Stopped")
    assert "Stopping" in history(states[0])
    assert 300 < count(source, "SELECT count(*) FROM events") < 5300
    assert count(source, "SELECT count(*) FROM streams WHERE holder IS NOT NULL") == 0
    source.sandbox.clear_faults()
    assert outcome(source.collect()) == "Collected"
    assert count(source, "SELECT count(*) FROM events") == 5300


def count(source: Source, query: str) -> int:
    engine = source.engine()
    with engine.connect() as connection:
        found = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return int(found)
