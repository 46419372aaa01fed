"""The login: its cookie, its delay after wrong passwords, and where it leads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support.console_client import PASSWORDS, ConsoleClient, ServedConsole

from deployments.console.gate import COOKIE
from deployments.console.pages.login import safe_path
from deployments.console.settings import ConsoleSettings

if TYPE_CHECKING:
    from httpx import Response


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


def test_a_session_ends_with_the_logout(client: ConsoleClient) -> None:
    log_in(client, PASSWORDS.operator)
    token = re.search(r'name="csrf" value="([^"]+)"', client.page("/"))
    assert token
    answer = client.post("/console/logout", data={"csrf": token[1]})
    assert answer.url.path == "/console/login"
    assert answer.history[0].headers["clear-site-data"] == '"storage"'
    assert COOKIE not in client.cookies
