"""The page of the system: checks and verifications of sources, versions, sizes, Prefect, and recent changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.chains import Filled
from support.console_client import shown_text
from support.values import SOURCE

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api
from blocks.store import audit_log, sources
from deployments import deferred, up_health
from deployments.console import check_results
from deployments.console.check_results import CheckStep
from deployments.prefect_api.server_state import ServerState, WorkerState
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

HOSTILE = "<script>x</script>\u202e\x1b[31m"


class FakeServer:
    """`server_state` without Prefect."""

    def __init__(self) -> None:
        workers = (WorkerState("up", online=True, seen_ns=1), WorkerState(HOSTILE, online=False, seen_ns=None))
        self.state = ServerState("http://127.0.0.1:1/api", "3.9", "pool", pool_paused=False, workers=workers)
        self.error: Exception | None = None

    def read_state(self) -> ServerState:
        if self.error is not None:
            raise self.error
        return self.state


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(deferred, "server_state", fake, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", fake.state.url)
    return fake


@pytest.fixture
def filled(store: Engine) -> Filled:
    sources.save(store, SOURCE)
    made = Filled(store)
    made.commit(Api.AUDIT, 5)
    return made


def test_the_page_shows_versions_sizes_and_workers(store: Engine, viewer: ConsoleClient) -> None:
    page = viewer.page("/system")
    text = shown_text(page)
    assert "1 online" in text
    assert "version 3.9" in text
    assert ("SQLite" if store.dialect.name == "sqlite" else "PostgreSQL") in text
    assert "schema of the store" in text
    assert "free" in text
    assert "Search index complete" in text
    assert "\u202e" not in page
    assert "<script>x" not in page


def test_a_server_that_does_not_answer_is_named(server: FakeServer, viewer: ConsoleClient, store: Engine) -> None:
    server.error = FirstPartyGenericError("The Prefect API does not answer.")
    assert "no answer The Prefect API does not answer." in shown_text(viewer.page("/system"))


def test_without_a_prefect_api_no_server_is_started(
    viewer: ConsoleClient, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    assert "No Prefect API is configured here" in shown_text(viewer.page("/system"))


def test_no_worker_is_a_problem(server: FakeServer, viewer: ConsoleClient, store: Engine) -> None:
    server.state = replace(server.state, workers=())
    assert "0 online No run is taken" in shown_text(viewer.page("/system"))


def test_the_troubles_of_up_are_shown(
    store: Engine, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(up_health, "path", lambda: tmp_path / "up-health.json")
    assert "does not run here" in shown_text(viewer.page("/system"))
    trouble = Trouble("worker", f"The worker does not answer {HOSTILE}", clock.now() - 90)
    up_health.write(up_health.path(), UpHealth(clock.now(), False, (trouble,), clock.now() - 100, worker_restarts=3))
    text = shown_text(viewer.page("/system"))
    assert "worker: The worker does not answer" in text
    assert "worker 3" in text
    assert "has troubles" in text


def test_a_check_is_kept_with_its_time(
    filled: Filled, operator: ConsoleClient, viewer: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (CheckStep("DNS", "ok", "it has an address", ""), CheckStep("TLS", "failed", HOSTILE, "Fix it."))
    monkeypatch.setattr(check_results, "read_findings", lambda name: steps if name == "1Pass" else ())
    assert "not checked yet" in shown_text(viewer.page("/system"))
    assert "1 source is checked: 1 ok, 1 failed." in operator.submit("/system", action="check", source="")
    page = viewer.page("/system")
    assert "2 steps ok DNS it has an address failed TLS" in shown_text(page)
    assert "Fix it." in page
    assert "<script>x" not in page


def test_the_chains_are_verified_and_the_result_is_recorded(
    filled: Filled, store: Engine, operator: ConsoleClient
) -> None:
    assert "Sound: 1 source is unchanged since the commits of its" not in operator.page("/system")
    assert "Sound: 1 source is unchanged" in operator.submit("/system", action="verify", source=SOURCE.id)
    assert "sound" in shown_text(operator.page("/system"))
    record = audit_log.newest_of_sources(store, "verify")[SOURCE.id]
    assert (record.details["sound"], record.details["events"], record.details["damaged"]) == (True, 5, 0)
    assert record.actor.startswith("Ada")
    filled.change("UPDATE events SET body = 'changed' WHERE uuid LIKE 'audit%1'")
    assert "NOT SOUND: 1 links" in operator.submit("/system", action="verify", source=SOURCE.id)
    page = shown_text(operator.page("/system"))
    assert "NOT SOUND" in page
    assert audit_log.newest_of_sources(store, "verify")[SOURCE.id].details["first_damaged"]["audit"] in page


def test_only_operators_check(filled: Filled, viewer: ConsoleClient, operator: ConsoleClient) -> None:
    assert viewer.post_form("/system", action="check").status_code == 403
    assert operator.post_form("/system", action="other").status_code == 404
    assert operator.post_form("/system", action="check", source="unknown").status_code == 400
    assert 'name="action"' not in viewer.page("/system")


def test_recent_changes_are_shown_with_who_made_them(store: Engine, viewer: ConsoleClient) -> None:
    sources.save(store, SOURCE)
    with audit_log.acting_as(f"Eve {HOSTILE}"):
        audit_log.append(store, "export", SOURCE.id, SOURCE.name, note=HOSTILE)
    page = viewer.page("/system")
    assert "export 1Pass note:" in shown_text(page)
    assert "<script>x" not in page


def test_findings_are_those_of_the_command(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    sources.save(store, replace(SOURCE, base_url="http://127.0.0.1:9"))
    found = {one.step: one.result for one in check_results.read_findings("1Pass")}
    assert found["store"] == "ok"
    assert "Prefect server" in found


def test_a_check_of_an_unknown_source_says_why(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    with pytest.raises(FirstPartyGenericError, match="no source named '--other'"):
        check_results.read_findings("--other")
