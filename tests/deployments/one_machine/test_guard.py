"""Who gets through the guard: by the Host and the Origin of a request, and by what a browser reports of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from blocks.errors import ThirdPartyConfigError
from deployments.one_machine.guard import guard_app
from deployments.prefect_api.server_access import LOOPBACK_ONLY, ListenAddress, parse_listen_address

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

UI = "http://127.0.0.1:4200"
ORIGINS = (UI, "http://localhost:4200", "http://[::1]:4200", "https://prefect.example.com", "https://www.example.com")


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("secret")(scope, receive, send)


def status(*headers: tuple[str, str], app: ASGIApp | None = None) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(app or guard_app(_answers, ORIGINS))
        async with httpx.AsyncClient(transport=transport, base_url=UI) as client:
            answer = await client.get("/", headers=list(headers))
            assert ("secret" in answer.text) == (answer.status_code == 200)
            return answer.status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "127.0.0.1", "localhost:4200", "LOCALHOST", "[::1]:4200", "prefect.example.com"]
)
def test_our_own_names_are_served(host: str) -> None:
    assert status(("Host", host)) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4200", "127.0.0.1.evil.example", "127.0.0.2", "example.com", "", "a b"],
)
def test_another_name_is_rejected(host: str) -> None:
    assert status(("Host", host)) == 400


@pytest.mark.parametrize("origin", ORIGINS)
def test_our_own_pages_are_served(origin: str) -> None:
    assert status(("Origin", origin)) == 200
    assert status(("Origin", origin), ("Sec-Fetch-Site", "same-origin")) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:4201",
        "https://127.0.0.1:4200",
        "http://127.0.0.1",
        "",
        f"{UI}/",
    ],
)
def test_another_page_is_rejected(origin: str) -> None:
    assert status(("Origin", origin)) == 403


def test_a_second_origin_does_not_hide_behind_the_first() -> None:
    assert status(("Origin", UI), ("Origin", "https://evil.example")) == 403


@pytest.mark.parametrize(
    ("site", "mode", "dest", "expected"),
    [
        ("none", "navigate", "document", 200),  # typed in
        ("same-origin", "no-cors", "script", 200),
        ("cross-site", "navigate", "document", 200),  # a followed link
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "script", 403),
        ("same-site", "no-cors", "image", 403),  # a page on another port of this machine
        ("same-site", "no-cors", "empty", 403),
        ("unheard-of", "cors", "empty", 403),
    ],
)
def test_what_a_browser_reports_decides_where_it_sends_no_origin(
    site: str, mode: str, dest: str, expected: int
) -> None:
    assert status(("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)) == expected


@pytest.mark.parametrize(("header", "value"), [("host", "evil.example"), ("origin", "https://evil.example")])
def test_a_websocket_is_rejected_before_it_opens(header: str, value: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = {"host": "127.0.0.1:4200", header: value}
    scope = {
        "type": "websocket",
        "path": "/api/events/out",
        "extensions": {"websocket.http.response": {}},
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }
    asyncio.run(guard_app(_answers, ORIGINS)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] in {400, 403}


def test_what_is_no_request_passes() -> None:
    paths: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["type"])

    asyncio.run(guard_app(app, ORIGINS)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert paths == ["lifespan"]


def test_the_listen_address_is_loopback_by_default() -> None:
    assert LOOPBACK_ONLY.origins == (UI, "http://localhost:4200")


def test_a_wider_address_answers_to_its_own_names_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box")
    assert ListenAddress("192.0.2.7").origins == ("http://192.0.2.7:4200",)
    assert ListenAddress("2001:db8::7").origin == "http://[2001:db8::7]:4200"
    assert ListenAddress("::").origin == "http://[::1]:4200"
    anywhere = ListenAddress("0.0.0.0")  # noqa: S104 - not bound
    assert anywhere.origins == (UI, "http://localhost:4200", "http://[::1]:4200", "http://box:4200")


def test_a_proxy_in_front_is_accepted_too() -> None:
    assert (
        parse_listen_address("127.0.0.1", "https://Prefect.example.com/").origins[-1] == "https://prefect.example.com"
    )


@pytest.mark.parametrize(
    "url",
    ["http://prefect.example.com", "prefect.example.com", "https://", "https://a.example/prefect", "https://a.example?x",
     "https://me:pw@a.example", "https://a.example:port"],
)  # fmt: skip
def test_a_public_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="Give the address of the TLS proxy"):
        parse_listen_address("127.0.0.1", url)
