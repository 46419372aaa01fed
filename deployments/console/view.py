"""A request of the console as its pages see it, and the decorator that makes an endpoint of a page."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from blocks.errors import FirstPartyGenericError, SourceError
from deployments.console import templates
from deployments.console.sessions import Role

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Engine
    from starlette.requests import Request

    from deployments.console.context import Console
    from deployments.console.sessions import Session

THREADS = 8
"""Pages that are made at a time. They share the process with Prefect's server, whose own threads stay free."""
FORM_BYTES_MAX = 2_000_000
SEE_OTHER, FORBIDDEN, TOO_LARGE, UNAVAILABLE, BAD_REQUEST, FAILED = 303, 403, 413, 503, 400, 500
DIGITS_MAX = 19
PREFIX = "/console"


@dataclass(frozen=True)
class View:
    """One request: who makes it, what it asks for, and how to respond."""

    request: Request
    session: Session
    console: Console
    form: dict[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The store. Raises SourceError."""
        return self.console.stores.engine()

    @property
    def reader(self) -> Engine:
        """The store for reads that take long. Raises SourceError."""
        return self.console.stores.reader()

    @property
    def can_act(self) -> bool:
        return self.session.is_operator and self.console.settings.can_act

    @property
    def prefect_url(self) -> str | None:
        """Where Prefect's pages are, for operators; None if this session cannot open them."""
        return self.console.settings.prefect_url if self.can_act else None

    @property
    def actor(self) -> str:
        """Who acts, as the audit log records it."""
        host = self.request.client.host if self.request.client else "unknown"
        return f"{self.session.person or self.session.role} (console, {host})"

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address."""
        return self.request.query_params.get(name, default)

    def queries(self, name: str) -> list[str]:
        """A parameter of the address that may be there several times."""
        return self.request.query_params.getlist(name)

    def query_number(self, name: str) -> int:
        """A whole number of the address; 0 if there is none, or it has no place in 64 bits."""
        text = self.query(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < DIGITS_MAX else 0

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def render(self, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """The page of a template, which gets `view` and the context."""
        return HTMLResponse(templates.render(template, view=self, **context), status)

    def redirect(self, path: str, **query: str) -> RedirectResponse:
        """See another page of the console; `path` begins with `/`."""
        suffix = f"?{urlencode(query)}" if query else ""
        return RedirectResponse(f"{PREFIX}{path}{suffix}", SEE_OTHER)

    @property
    def csrf_token(self) -> str:
        return self.console.settings.sessions.csrf_token(self.session)


Page = "Callable[[View], Response]"


def page(function: Callable[[View], Response], *, role: Role = Role.VIEWER) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a page. The page runs in a thread of the console's own; errors of the store become a page."""

    @functools.wraps(function)
    async def endpoint(request: Request) -> Response:
        console: Console = request.app.state.console
        session: Session = request.scope["session"]
        if role is Role.OPERATOR and not session.is_operator:
            return PlainTextResponse("Only operators may do this. Nothing was changed.", FORBIDDEN)
        form: dict[str, str] = {}
        if request.method == "POST":
            read = await read_form(request, FORM_BYTES_MAX)
            if read is None:
                return PlainTextResponse("The form is too large. Nothing was changed.", TOO_LARGE)
            form = read
            if not console.settings.sessions.is_csrf_token(session, form.get("csrf", "")):
                return PlainTextResponse(
                    "This form is out of date. Nothing was changed. Load the page again, and repeat.", FORBIDDEN
                )
        view = View(request, session, console, form)
        return await anyio.to_thread.run_sync(_respond, function, view, limiter=console_limiter())

    return endpoint


def action(function: Callable[[View], Response]) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of something that only operators may do."""
    return page(function, role=Role.OPERATOR)


def _respond(function: Callable[[View], Response], view: View) -> Response:
    try:
        return function(view)
    except SourceError as error:
        status = UNAVAILABLE if isinstance(error, FirstPartyGenericError) else BAD_REQUEST
        return view.render("error.html", status, message=error.message, hint=error.hint, title="Problem")
    except Exception:
        logging.getLogger(__name__).exception("The page %s failed.", view.request.url.path)
        message = "This page failed. Your events are safe: collection does not depend on it."
        hint = "The server's log has the details. Please report them."
        return view.render("error.html", FAILED, message=message, hint=hint, title="Problem")


def matches(search: str, *texts: str) -> bool:
    """Whether each word of a search stands in the texts, in any case."""
    joined = " ".join(texts).casefold()
    return all(word in joined for word in search.casefold().split())


async def read_form(request: Request, bytes_max: int) -> dict[str, str] | None:
    """The form of a request; None if it is longer than `bytes_max`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            return None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


@functools.cache
def console_limiter() -> CapacityLimiter:
    return CapacityLimiter(THREADS)
