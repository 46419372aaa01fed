"""The gate before every page: a session, a role, a form's token, and headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.console_client import ConsoleClient, ServedConsole, shown_text
from support.values import SOURCE

from blocks.store import sources

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def browser() -> ConsoleClient:
    """No test here opens the store."""
    return ConsoleClient(ServedConsole())


def test_every_page_needs_a_session_and_leads_back_after_the_login(browser: ConsoleClient) -> None:
    for path in ("/console/", "/console/events?user=a", "/console/sources/x", "/console/none"):
        answer = browser.get(path, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/login?next=%2Fconsole")


def test_a_part_of_a_page_or_a_form_without_a_session_is_refused(browser: ConsoleClient) -> None:
    assert browser.get("/console/", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
    assert browser.post("/console/sources/x/stop").status_code == 401


def test_a_link_from_another_site_loads_itself_again_so_that_the_cookie_comes(browser: ConsoleClient) -> None:
    answer = browser.get("/console/events", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "events" not in shown_text(answer.text).lower()


@pytest.mark.parametrize("action", ["collect", "restart", "stop", "start", "token", "rename", "delete"])
def test_a_viewer_changes_nothing(store: Engine, viewer: ConsoleClient, action: str) -> None:
    sources.save(store, SOURCE)
    assert viewer.post_form(f"/sources/{SOURCE.id}/{action}", typed="1Pass").status_code == 403
    page = viewer.page(f"/sources/{SOURCE.id}")
    assert f"/{action}" not in page
    assert "/runs/flow-run/" not in page


def test_no_page_runs_a_script_or_a_style_but_our_files(store: Engine, operator: ConsoleClient) -> None:
    sources.save(store, SOURCE)
    for path in ("/", f"/sources/{SOURCE.id}"):
        answer = operator.get(f"/console{path}")
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=\"/console/static/)|\son\w+=|\sstyle=|<style", answer.text)


def test_a_form_of_any_length_is_read_within_bounds(operator: ConsoleClient) -> None:
    answer = operator.post("/console/logout", content=b"x" * 2_000_001)
    assert answer.status_code == 413


def test_a_page_that_fails_says_so_and_shows_nothing_of_why(
    operator: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the program")

    monkeypatch.setattr("deployments.console.pages.sources.source_rows", fail)
    page = operator.page("/", status=500)
    assert "Your events are safe" in page
    assert "secret" not in page
