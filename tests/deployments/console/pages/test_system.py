"""The page System: versions, sizes, workers, troubles, and recent changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.console_client import shown_text
from support.prefect_server_state import HOSTILE, FakeServer
from support.values import SOURCE

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.store import audit_log, sources
from deployments import deferred, up_health
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from support.console_client import ConsoleClient


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setattr(deferred, "server_state", fake, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", fake.state.url)
    return fake


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


def test_recent_changes_are_shown_with_who_made_them(store: Engine, viewer: ConsoleClient) -> None:
    sources.save(store, SOURCE)
    with audit_log.acting_as(f"Eve {HOSTILE}"):
        audit_log.append(store, "export", SOURCE.id, SOURCE.name, note=HOSTILE)
    page = viewer.page("/system")
    assert "export 1Pass note:" in shown_text(page)
    assert "<script>x" not in page
