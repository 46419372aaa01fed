"""Logging in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from deployments.console import templates
from deployments.console.gate import COOKIE
from deployments.console.sessions import SESSION_SECONDS
from deployments.console.view import PREFIX, page, read_form

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from deployments.console.context import Console
    from deployments.console.sessions import Session
    from deployments.console.settings import ConsoleSettings
    from deployments.console.view import View

FORM_BYTES_MAX = 10_000
NAME_MAX = 80
SEE_OTHER, WRONG, SLOW_DOWN, TOO_LARGE = 303, 403, 429, 413


async def login(request: Request) -> Response:
    """The login page, and what it sends."""
    there = safe_path(request.query_params.get("next", ""))
    if request.method == "GET":
        session: Session | None = request.scope["session"]
        return _form(there) if session is None else _enter(session, there)
    form = await read_form(request, FORM_BYTES_MAX)
    if form is None:
        return PlainTextResponse("The form is too large.", TOO_LARGE)
    return _log_in(request, form, safe_path(form.get("next", "")))


def _log_in(request: Request, form: dict[str, str], there: str) -> Response:
    console: Console = request.app.state.console
    settings = console.settings
    address = request.client.host if request.client else "unknown"
    if (seconds := settings.delay.seconds_left(address)) > 0:
        return _form(there, f"Too many wrong passwords. Try again in {seconds:.0f} s.", SLOW_DOWN, seconds=seconds)
    role = settings.sessions.role_of(form.get("password", ""))
    if role is None:
        settings.delay.failed(address)
        return _form(there, "This password is not known. `onepassword-source up` prints both when it starts.", WRONG)
    settings.delay.succeeded(address)
    session = settings.sessions.create(role, " ".join(form.get("person", "").split())[:NAME_MAX])
    response = _enter(session, there)
    response.set_cookie(
        COOKIE,
        settings.sessions.encode(session),
        max_age=SESSION_SECONDS,
        secure=is_secure(request, settings),
        httponly=True,
        samesite="strict",
    )
    return response


def _enter(session: Session, there: str) -> Response:
    """Go to the page that was wanted. Prefect's pages are for operators, and need a sign that only a script can set."""
    if there.startswith(f"{PREFIX}/"):
        return RedirectResponse(there, SEE_OTHER)
    if not session.is_operator:
        return RedirectResponse(f"{PREFIX}/", SEE_OTHER)
    return HTMLResponse(templates.render("enter.html", next=there))


def is_secure(request: Request, settings: ConsoleSettings) -> bool:
    return settings.is_secure(request.url.scheme, request.url.netloc)


def _form(there: str, problem: str = "", status: int = 200, *, seconds: float = 0) -> HTMLResponse:
    headers = {"Retry-After": f"{max(seconds, 1):.0f}"} if seconds else None
    return HTMLResponse(templates.render("login.html", next=there, problem=problem), status, headers)


def log_out(view: View) -> Response:
    """End the session in this browser."""
    response = RedirectResponse(f"{PREFIX}/login", SEE_OTHER)
    response.delete_cookie(
        COOKIE, httponly=True, samesite="strict", secure=is_secure(view.request, view.console.settings)
    )
    response.headers["Clear-Site-Data"] = '"storage"'  # Prefect's UI keeps that this browser is logged in
    return response


def safe_path(text: str) -> str:
    """The path of this server to go to after the login; anything else leads to the first page."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if is_own else f"{PREFIX}/"


ROUTES = [
    Route("/login", login, methods=["GET", "POST"]),
    Route("/logout", page(log_out), methods=["POST"]),
]
