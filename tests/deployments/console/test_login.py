"""Logging in and out, and what a browser may do without a session, or with a viewer's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.console_client import PASSWORDS, ConsoleClient, ServedConsole, shown_text
from support.values import SOURCE

from blocks.store import sources
from deployments.console.gate import COOKIE
from deployments.console.pages.login import safe_path
from deployments.console.settings import ConsoleSettings

if TYPE_CHECKING:
    from httpx import Response
    from sqlalchemy import Engine


@pytest.fixture
def browser() -> ConsoleClient:
    """No test here opens the store."""
    return ConsoleClient(ServedConsole())


def log_in(browser: ConsoleClient, password: str, there: str = "", person: str = "Ada") -> Response:
    form = {"password": password, "person": person, "next": there}
    return browser.post("/console/login", data=form, follow_redirects=False)


def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(browser: ConsoleClient) -> None:
    answer = log_in(browser, PASSWORDS.operator, "/console/system?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/system?x=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie


def test_behind_tls_the_cookie_is_secure() -> None:
    served = ServedConsole(ConsoleSettings(PASSWORDS, can_act=True, https_hosts=frozenset({"soc.example.com"})))
    browser = ConsoleClient(served)
    browser.base_url = "http://soc.example.com"
    assert "secure" in log_in(browser, PASSWORDS.operator).headers["set-cookie"].lower()


def test_before_a_page_of_prefect_the_script_leaves_its_sign(browser: ConsoleClient) -> None:
    answer = log_in(browser, PASSWORDS.operator, "/flows?page=1")
    assert answer.status_code == 200
    assert 'data-next="/flows?page=1"' in answer.text
    browser.cookies.clear()
    assert log_in(browser, PASSWORDS.viewer or "", "/flows").headers["location"] == "/console/"


def test_a_wrong_password_gets_no_cookie_and_soon_a_delay(browser: ConsoleClient) -> None:
    answers = [log_in(browser, "wrong") for _ in range(4)]
    assert [one.status_code for one in answers] == [403, 403, 403, 429]
    assert all("set-cookie" not in one.headers for one in answers)
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert log_in(browser, PASSWORDS.operator).status_code == 429, "not even the right one"


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/console/events?q=a%20b", "/console/events?q=a%20b"),
        ("/dashboard", "/dashboard"),
        ("", "/console/"),
        ("//evil.example", "/console/"),
        ("/\\evil.example", "/console/"),
        ("https://evil.example/", "/console/"),
        ("/a\r\nSet-Cookie: x=1", "/console/"),
        ("javascript:alert(1)", "/console/"),
    ],
)
def test_a_login_leads_to_a_page_of_this_server(path: str, leads: str) -> None:
    assert safe_path(path) == leads


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


def test_a_session_ends_with_the_logout(client: ConsoleClient) -> None:
    log_in(client, PASSWORDS.operator)
    token = re.search(r'name="csrf" value="([^"]+)"', client.page("/"))
    assert token
    answer = client.post("/console/logout", data={"csrf": token[1]})
    assert answer.url.path == "/console/login"
    assert answer.history[0].headers["clear-site-data"] == '"storage"'
    assert COOKIE not in client.cookies


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
