"""What an operator starts on the page System: a check, and a verification of the chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chains import Filled
from support.console_client import shown_text
from support.prefect_server_state import HOSTILE, FakeServer
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import audit_log, sources
from deployments import deferred
from deployments.console import check_results
from deployments.console.check_results import CheckStep
from deployments.console.sessions import Role

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient


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


def test_behind_a_proxy_the_audit_log_has_the_persons_address(
    filled: Filled, store: Engine, client: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", "10.0.0.0/24")
    session = client.served.settings.sessions.create(Role.OPERATOR, "Ada")
    for peer, address in (("10.0.0.5", "192.0.2.1"), ("10.0.1.5", "10.0.1.5")):
        browser = client.from_peer(peer, session)
        browser.headers["X-Forwarded-For"] = "198.51.100.7, 192.0.2.1"
        browser.submit("/system", action="verify", source=SOURCE.id)
        assert audit_log.newest_of_sources(store, "verify")[SOURCE.id].actor == f"Ada (console, {address})"
