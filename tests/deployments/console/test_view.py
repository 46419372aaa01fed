"""A request of the console: its parameters, who makes it, its form, and what becomes of errors."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from support.console_client import PASSWORDS

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from deployments.console import view as view_module
from deployments.console.context import Console
from deployments.console.sessions import Role
from deployments.console.settings import ConsoleSettings
from deployments.console.view import THREADS, View, action, console_limiter, matches, page, read_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from deployments.console.sessions import Session

FORM = "application/x-www-form-urlencoded"


class Browser:
    """A session with a console, and requests of it."""

    def __init__(self, role: Role = Role.OPERATOR, person: str = "Ada", **settings: Any) -> None:
        self.console = Console(ConsoleSettings(PASSWORDS, **{"can_act": True, **settings}))
        self.session: Session = self.console.settings.sessions.create(role, person)

    @property
    def csrf_token(self) -> str:
        return self.console.settings.sessions.csrf_token(self.session)

    def request(
        self,
        query: str = "",
        *chunks: bytes,
        method: str = "GET",
        client: tuple[str, int] | None = ("192.0.2.1", 50000),
        path_params: dict[str, Any] | None = None,
    ) -> Request:
        parts = list(chunks) or [b""]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        scope = {
            "type": "http",
            "method": method,
            "path": "/console/it",
            "query_string": query.encode(),
            "headers": [(b"content-type", FORM.encode())],
            "client": client,
            "path_params": path_params or {},
            "session": self.session,
            "app": SimpleNamespace(state=SimpleNamespace(console=self.console)),
        }
        return Request(scope, receive)

    def view(self, query: str = "", **members: Any) -> View:
        return View(self.request(query, **members), self.session, self.console)

    def get(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Response:
        return asyncio.run(_response(endpoint, self.request()))

    def post(self, endpoint: Callable[[Request], Awaitable[Response]], *chunks: bytes) -> Response:
        return asyncio.run(_response(endpoint, self.request("", *chunks, method="POST")))

    def form(self, **members: str) -> bytes:
        """A form as this browser's pages have it, with its token."""
        return urlencode({"csrf": self.csrf_token, **members}).encode()


async def _response(endpoint: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    return await endpoint(request)


def text_of(response: Response) -> str:
    return bytes(response.body).decode()


def fine(view: View) -> Response:
    return PlainTextResponse(f"{view.request.method} {sorted(view.form.items())}")


def failing(error: Exception) -> Callable[[View], Response]:
    def function(_view: View) -> Response:
        raise error

    return function


def test_parameters_of_the_address_are_read_by_name() -> None:
    view = Browser().view("a=1&b=&a=2&c=%C3%A9")
    assert (view.query("a"), view.query("b", "x"), view.query("c"), view.query("d"), view.query("d", "x")) == (
        "2", "", "é", "", "x",
    )  # fmt: skip
    assert (view.queries("a"), view.queries("d")) == (["1", "2"], [])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("0", 0),
        ("", 0),
        ("-1", 0),
        ("+1", 0),
        ("1.5", 0),
        ("1_0", 0),
        ("\N{ARABIC-INDIC DIGIT THREE}", 0),
        ("\N{SUPERSCRIPT TWO}", 0),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, 0),
    ],
)
def test_a_number_of_the_address_has_a_place_in_64_bits(text: str, number: int) -> None:
    assert Browser().view(urlencode({"page": text})).query_number("page") == number
    assert Browser().view().query_number("page") == 0


def test_a_part_of_the_path_is_text() -> None:
    assert Browser().view(path_params={"id": 5}).path("id") == "5"


@pytest.mark.parametrize(
    ("query", "location"),
    [({}, "/console/sources/x"), ({"a": "1 2&", "b": "é"}, "/console/sources/x?a=1+2%26&b=%C3%A9")],
)
def test_a_redirect_leads_to_another_page_of_the_console(query: dict[str, str], location: str) -> None:
    response = Browser().view().redirect("/sources/x", **query)
    assert (response.status_code, response.headers["location"]) == (303, location)


@pytest.mark.parametrize(
    ("role", "can_act", "acts", "prefect_url"),
    [
        (Role.OPERATOR, True, True, "https://prefect"),
        (Role.OPERATOR, False, False, None),
        (Role.VIEWER, True, False, None),
        (Role.VIEWER, False, False, None),
    ],
)
def test_an_operator_acts_where_there_is_a_prefect_api(
    role: Role, *, can_act: bool, acts: bool, prefect_url: str | None
) -> None:
    view = Browser(role, can_act=can_act, prefect_url="https://prefect").view()
    assert (view.can_act, view.prefect_url) == (acts, prefect_url)


def test_prefects_pages_may_have_the_consoles_own_origin_or_be_none() -> None:
    assert Browser().view().prefect_url == ""
    assert Browser(prefect_url=None).view().prefect_url is None


@pytest.mark.parametrize(
    ("person", "client", "actor"),
    [
        ("Ada", ("192.0.2.1", 5), "Ada (console, 192.0.2.1)"),
        ("", ("192.0.2.1", 5), "operator (console, 192.0.2.1)"),
        ("Ada", None, "Ada (console, unknown)"),
    ],
)
def test_the_audit_log_records_who_acts_and_from_where(person: str, client: tuple[str, int] | None, actor: str) -> None:
    assert Browser(person=person).view(client=client).actor == actor


def test_the_token_of_a_form_is_that_of_the_session() -> None:
    browser = Browser()
    assert browser.view().csrf_token == browser.csrf_token
    assert browser.view().csrf_token != Browser().csrf_token


def test_the_store_is_opened_for_short_and_for_long_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()
    monkeypatch.setattr(browser.console.stores, "engine", lambda: "short")
    monkeypatch.setattr(browser.console.stores, "reader", lambda: "long")
    assert (browser.view().engine, browser.view().reader) == ("short", "long")


@pytest.mark.parametrize(
    ("search", "texts", "found"),
    [
        ("", ("a",), True),
        (" ", (), True),
        ("ADA", ("ada lovelace",), True),
        ("love ada", ("Ada", "Lovelace"), True),
        ("ada bo", ("ada",), False),
        ("ada", (), False),
        ("STRASSE", ("Straße",), True),
    ],
)
def test_each_word_of_a_search_stands_in_the_texts(search: str, texts: Sequence[str], *, found: bool) -> None:
    assert matches(search, *texts) is found


@pytest.mark.parametrize(
    ("chunks", "form"),
    [
        ((b"",), {}),
        ((b"a=1&b=", b"&c=%C3", b"%A9"), {"a": "1", "b": "", "c": "é"}),
        ((b"a=1&a=2",), {"a": "2"}),
        ((b"a=\xff",), {"a": "\ufffd"}),
        ((b"a=1", b"2345"), {"a": "12345"}),
        ((b"a=1", b"23456"), None),
        ((b"a=123456", b""), None),
    ],
)
def test_a_form_is_read_up_to_its_bound(chunks: tuple[bytes, ...], form: dict[str, str] | None) -> None:
    most = 7 if b"a=1" in chunks or b"a=123456" in chunks else 1000
    assert asyncio.run(read_form(Browser().request("", *chunks), most)) == form


def test_a_form_that_is_too_large_is_not_read_to_its_end() -> None:
    read: list[int] = []

    async def receive() -> dict[str, Any]:
        read.append(1)
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    assert asyncio.run(read_form(Request({"type": "http"}, receive), 25)) is None
    assert len(read) == 3


def test_a_page_gets_its_request_in_a_thread_of_its_own() -> None:
    seen: list[tuple[View, threading.Thread]] = []

    def function(view: View) -> Response:
        """The page."""
        seen.append((view, threading.current_thread()))
        return PlainTextResponse("it")

    browser = Browser(Role.VIEWER)
    endpoint = page(function)
    assert text_of(browser.get(endpoint)) == "it"
    ((view, thread),) = seen
    assert (view.session, view.console, view.form) == (browser.session, browser.console, {})
    assert thread is not threading.current_thread()
    assert endpoint.__name__ == "function"


def test_pages_share_eight_threads() -> None:
    assert console_limiter().total_tokens == THREADS == 8
    assert console_limiter() is console_limiter()


def test_a_viewer_does_nothing_that_only_operators_may_do() -> None:
    endpoint = action(failing(AssertionError()))
    for response in (Browser(Role.VIEWER).get(endpoint), Browser(Role.VIEWER).post(endpoint)):
        assert (response.status_code, text_of(response)) == (403, "Only operators may do this. Nothing was changed.")
    assert text_of(Browser().get(action(fine))) == "GET []"


def test_a_form_with_the_token_of_its_session_is_passed_on() -> None:
    browser = Browser()
    response = browser.post(action(fine), browser.form(name="a b"))
    assert text_of(response) == f"POST {sorted({'csrf': browser.csrf_token, 'name': 'a b'}.items())}"
    viewer = Browser(Role.VIEWER)
    assert viewer.post(page(fine), viewer.form()).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"csrf=", b"csrf=x&name=a", f"csrf={Browser().csrf_token}".encode(), b"csrf=\xc3\xa9"],
    ids=["no form", "no token", "no token of ours", "the token of another session", "not ASCII"],
)
def test_a_form_with_another_token_changes_nothing(body: bytes) -> None:
    response = Browser().post(page(failing(AssertionError())), body)
    assert (response.status_code, text_of(response)) == (
        403,
        "This form is out of date. Nothing was changed. Load the page again, and repeat.",
    )


def test_a_form_that_is_too_large_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()
    body = browser.form()
    monkeypatch.setattr(view_module, "FORM_BYTES_MAX", len(body))
    assert browser.post(page(fine), body).status_code == 200
    response = browser.post(page(failing(AssertionError())), body, b"&")
    assert (response.status_code, text_of(response)) == (413, "The form is too large. Nothing was changed.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FirstPartyGenericError("The store <b> did not answer.", hint="Check the disk.", code="store"), 503),
        (ThirdPartyConfigError("The store <b> did not answer.", hint="Check the disk."), 400),
        (ThirdPartyGenericError("The store <b> did not answer.", hint="Check the disk."), 400),
    ],
)
def test_an_error_of_the_store_or_of_use_is_a_page(error: Exception, status: int) -> None:
    response = Browser(Role.VIEWER).get(page(failing(error)))
    shown = text_of(response)
    assert response.status_code == status
    assert "<p>The store &lt;b&gt; did not answer.</p>" in shown
    assert '<p class="soft">Check the disk.</p>' in shown
    assert "<title>Problem" in shown


def test_a_page_that_fails_shows_nothing_of_why_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = Browser(Role.VIEWER).get(page(failing(RuntimeError("a secret of the program"))))
    shown = text_of(response)
    assert response.status_code == 500
    assert "This page failed. Your events are safe: collection does not depend on it." in shown
    assert "The server&#39;s log has the details. Please report them." in shown or (
        "The server's log has the details. Please report them." in shown
    )
    assert "secret" not in shown
    (logged,) = [one for one in caplog.records if one.name == "deployments.console.view"]
    assert logged.getMessage() == "The page /console/it failed."
    assert logged.exc_info


def test_a_page_is_rendered_with_its_request_and_status() -> None:
    response = Browser(Role.VIEWER, person="Ada <b>").view().render("error.html", 418, message="M", hint="", title="T")
    shown = text_of(response)
    assert (response.status_code, response.media_type) == (418, "text/html")
    assert "<p>M</p>" in shown
    assert "Ada &lt;b&gt;" in shown
    assert 'class="soft"' not in shown
