"""The console in front of Prefect's server: one address, and one login for both.

`/console/…` is the console, `/` leads to it, everything else is Prefect. A browser with an operator's session sends
Prefect's API a sign instead of the API password, which never reaches the browser; here the sign becomes the password.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse

from deployments.console.app import create_app
from deployments.console.gate import read_session
from deployments.console.passwords import Passwords
from deployments.console.settings import ConsoleSettings
from deployments.console.view import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIGN = "console-session"
"""What `console.js` writes where Prefect's UI keeps its password."""


class ConsoleFront:
    """Serves the console, and passes other requests on to Prefect with the password that a session stands for."""

    def __init__(self, prefect: ASGIApp, auth_string: str, origins: Iterable[str]) -> None:
        hosts = frozenset(origin.removeprefix("https://") for origin in origins if origin.startswith("https://"))
        self._prefect = prefect
        self._auth_string = auth_string
        self._settings = ConsoleSettings(Passwords.derived(auth_string.partition(":")[2]), True, hosts)
        self._console = create_app(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._prefect(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._prefect(scope, self._receive_with_password(scope, receive), send)
        elif scope["path"] == "/" and scope["method"] in {"GET", "HEAD"}:
            await RedirectResponse(f"{PREFIX}/")(scope, receive, send)
        elif scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/"):
            await self._console(scope, receive, send)
        else:
            await self._prefect(self._with_password(scope), receive, send)

    def _with_password(self, scope: Scope) -> Scope:
        if Headers(scope=scope).get("authorization") != _basic(SIGN) or not self._is_operator(scope):
            return scope
        others = [one for one in scope["headers"] if one[0] != b"authorization"]
        return {**scope, "headers": [*others, (b"authorization", _basic(self._auth_string).encode())]}

    def _receive_with_password(self, scope: Scope, receive: Receive) -> Receive:
        """On a WebSocket, Prefect's UI sends the password as its first message."""
        if not self._is_operator(scope):
            return receive

        async def receive_with_password() -> Message:
            message = await receive()
            text = message.get("text")
            if not isinstance(text, str) or SIGN not in text:
                return message
            return {**message, "text": _replace_sign(text, self._auth_string)}

        return receive_with_password

    def _is_operator(self, scope: Scope) -> bool:
        session = read_session(HTTPConnection(scope), self._settings)
        return session is not None and session.is_operator


def _basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _replace_sign(text: str, auth_string: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return text
    if isinstance(document, dict) and document.get("type") == "auth" and document.get("token") == SIGN:
        return json.dumps({**document, "token": auth_string})
    return text
