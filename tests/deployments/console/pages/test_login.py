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
    from collections.abc import Iterable

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


PROXY = "10.0.0.5"


@pytest.fixture
def _proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", f"{PROXY}, 2001:db8::/64")


def tries(browser: ConsoleClient, forwarded: Iterable[str], password: str | None = None) -> list[int]:
    """The statuses of logins, one for each X-Forwarded-For."""
    return [
        browser.post(
            "/console/login",
            data={"password": password or "wrong", "next": "/console/"},
            headers={"X-Forwarded-For": header},
            follow_redirects=False,
        ).status_code
        for header in forwarded
    ]


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize("peer", [PROXY, "2001:db8::5"])
def test_behind_a_proxy_each_person_waits_alone(browser: ConsoleClient, peer: str) -> None:
    proxy = browser.from_peer(peer)
    assert tries(proxy, ["192.0.2.1"] * 4) == [403, 403, 403, 429]
    people = ["192.0.2.1", "192.0.2.2", "2001:db8:1::7"]
    assert tries(proxy, people, PASSWORDS.operator) == [429, 303, 303]


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize(
    "entries",
    [
        [f"198.51.100.{number}, 192.0.2.1" for number in range(4)],
        [f"10.0.0.5, nonsense-{number}, 192.0.2.1" for number in range(4)],
        [f"192.0.2.1:{4000 + number}" for number in range(4)],
        ["203.0.113.9, 192.0.2.1, 2001:db8::5", "192.0.2.1,10.0.0.5", " 192.0.2.1", "192.0.2.1"],
        [f"[2001:db8:1::7]:{4000 + number}" for number in range(4)],
    ],
    ids=["another address", "nonsense", "ports", "two proxies", "IPv6 and ports"],
)
def test_only_the_entry_of_the_first_proxy_counts(browser: ConsoleClient, entries: list[str]) -> None:
    """What a person sends stands on the left. A new entry there, or another port, is no new person."""
    assert tries(browser.from_peer(PROXY), entries) == [403, 403, 403, 429]


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize("peer", ["10.0.0.6", "127.0.0.1", "::1", "2001:db8:0:1::5"])
def test_headers_from_others_are_not_believed(browser: ConsoleClient, peer: str) -> None:
    assert tries(browser.from_peer(peer), [f"192.0.2.{number}" for number in range(4)]) == [403, 403, 403, 429]


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize(
    ("peer", "scheme", "is_secure"),
    [(PROXY, "https", True), (PROXY, "http", False), (PROXY, "nonsense", False), ("127.0.0.1", "https", False)],
)
def test_the_scheme_that_the_proxy_names_decides_about_the_cookie(
    browser: ConsoleClient, peer: str, scheme: str, is_secure: bool
) -> None:
    proxy = browser.from_peer(peer)
    proxy.headers["X-Forwarded-Proto"] = scheme
    assert ("secure" in log_in(proxy, PASSWORDS.operator).headers["set-cookie"].lower()) == is_secure


@pytest.mark.parametrize("peer", [PROXY, "127.0.0.1", "::1"])
def test_without_the_setting_no_header_is_believed(
    browser: ConsoleClient, peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable
    other = browser.from_peer(peer)
    other.headers["X-Forwarded-Proto"] = "https"
    assert tries(other, [f"192.0.2.{number}" for number in range(4)]) == [403, 403, 403, 429]
    browser.headers["X-Forwarded-Proto"] = "https"
    assert "secure" not in log_in(browser, PASSWORDS.operator).headers["set-cookie"].lower()
