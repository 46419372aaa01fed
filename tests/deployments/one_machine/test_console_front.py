"""One login: what of a browser's requests reaches Prefect with the password, and what does not."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import JSONResponse

from deployments.console.gate import COOKIE
from deployments.console.sessions import Role
from deployments.one_machine.console_front import SIGN, ConsoleFront

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

AUTH = "admin:the password"
ORIGIN = "http://127.0.0.1:4200"


async def prefect(scope: Scope, receive: Receive, send: Send) -> None:
    """It answers with what it got."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await JSONResponse({"path": scope["path"], "auth": headers.get("authorization")})(scope, receive, send)


@pytest.fixture
def front() -> ConsoleFront:
    return ConsoleFront(prefect, AUTH, [ORIGIN, "https://soc.example.com"])


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def cookie(front: ConsoleFront, role: Role) -> dict[str, str]:
    sessions = front._settings.sessions
    return {COOKIE: sessions.encode(sessions.create(role, ""))}


def get(front: ConsoleFront, path: str, *, cookies: dict[str, str] | None = None, auth: str | None = None) -> Any:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=cookies) as client:
            return await client.get(path, headers={"Authorization": auth} if auth else None)

    return asyncio.run(ask())


def test_an_operators_sign_becomes_the_password(front: ConsoleFront) -> None:
    answer = get(front, "/api/flows", cookies=cookie(front, Role.OPERATOR), auth=basic(SIGN)).json()
    assert answer == {"path": "/api/flows", "auth": basic(AUTH)}


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_the_sign_alone_is_worth_nothing(front: ConsoleFront, role: Role | None) -> None:
    cookies = cookie(front, role) if role else None
    assert get(front, "/api/flows", cookies=cookies, auth=basic(SIGN)).json()["auth"] == basic(SIGN)


def test_a_session_alone_is_worth_nothing(front: ConsoleFront) -> None:
    """A page of another site can make a browser send a cookie, but not this header."""
    assert get(front, "/api/flows", cookies=cookie(front, Role.OPERATOR)).json()["auth"] is None


def test_a_session_of_another_server_is_worth_nothing(front: ConsoleFront) -> None:
    other = ConsoleFront(prefect, "admin:another", [ORIGIN])
    answer = get(front, "/api/flows", cookies=cookie(other, Role.OPERATOR), auth=basic(SIGN)).json()
    assert answer["auth"] == basic(SIGN)


def test_the_password_itself_still_works(front: ConsoleFront) -> None:
    assert get(front, "/api/flows", auth=basic(AUTH)).json()["auth"] == basic(AUTH)


def test_the_first_page_is_the_console_and_old_addresses_are_prefects(front: ConsoleFront) -> None:
    assert get(front, "/").headers["location"] == "/console/"
    assert get(front, "/console/").headers["location"].startswith("/console/login")
    for path in ("/dashboard", "/runs/flow-run/1", "/consoles", "/login"):
        assert get(front, path).json()["path"] == path


def first_message(front: ConsoleFront, cookies: dict[str, str], text: str) -> str:
    """What Prefect receives on a WebSocket."""
    got: list[Message] = []

    async def socket(scope: Scope, receive: Receive, _send: Send) -> None:
        got.append(await receive())

    async def receive() -> Message:
        return {"type": "websocket.receive", "text": text}

    async def send(_message: Message) -> None: ...

    front._prefect = socket
    header = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    scope = {"type": "websocket", "path": "/api/events/out", "headers": [(b"cookie", header)], "query_string": b""}
    asyncio.run(front(scope, receive, send))
    return str(got[0]["text"])


def test_on_a_websocket_the_sign_becomes_the_password_in_the_login_message_alone(front: ConsoleFront) -> None:
    operator = cookie(front, Role.OPERATOR)
    login = json.dumps({"type": "auth", "token": SIGN})
    assert json.loads(first_message(front, operator, login)) == {"type": "auth", "token": AUTH}
    for other in (json.dumps({"type": "filter", "token": SIGN}), SIGN, json.dumps([SIGN])):
        assert first_message(front, operator, other) == other
    assert first_message(front, cookie(front, Role.VIEWER), login) == login
