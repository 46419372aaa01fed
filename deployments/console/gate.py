"""Lets requests with a session pass, and leads others to the login page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from deployments.console import templates
from deployments.console.view import PREFIX

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from deployments.console.sessions import Session
    from deployments.console.settings import ConsoleSettings

COOKIE = "onepassword_source_console"
OPEN_PATHS = (f"{PREFIX}/login", f"{PREFIX}/static/")
UNAUTHORIZED = 401


class Gate:
    """Puts the session into `scope["session"]`. Only the login page and the static files need none."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        session = read_session(request, self._settings)
        scope["session"] = session
        if session is None and not request.url.path.startswith(OPEN_PATHS):
            await _login_first(request)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def read_session(request: HTTPConnection, settings: ConsoleSettings) -> Session | None:
    """The session of the request's cookie."""
    cookie = request.cookies.get(COOKIE, "")
    return settings.sessions.decode(cookie) if cookie else None


def _login_first(request: Request) -> Response:
    if request.method != "GET" or request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return PlainTextResponse("Your session is over. Log in again; nothing was changed.", UNAUTHORIZED)
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link from elsewhere brings no cookie, because it is SameSite=Strict. The page's own reload does.
        return HTMLResponse(templates.render("reload.html"))
    there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{PREFIX}/login?{urlencode({'next': there})}", 303)
