"""The console as an ASGI application. Its paths begin with `/console`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deployments.console.context import Console
from deployments.console.gate import Gate
from deployments.console.headers import SecurityHeaders
from deployments.console.pages import (
    actions,
    backfill,
    events,
    health,
    insight,
    login,
    new_source,
    quarantine,
    siem,
    siems,
    source,
    source_export,
    source_findings,
    sources,
    system,
)
from deployments.console.view import PREFIX, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from deployments.console.settings import ConsoleSettings
    from deployments.console.view import View

STATIC = Path(__file__).parent / "static"
PAGES = (
    sources,
    new_source,
    quarantine,
    source_findings,
    source_export,
    source,
    events,
    insight,
    siems,
    siem,
    health,
    backfill,
    system,
    actions,
)
"""Modules of pages. Each has `ROUTES`. The first route that matches serves a request."""


def create_app(settings: ConsoleSettings) -> ASGIApp:
    """The console with its pages, behind its login. It opens the store when a page needs it."""
    routes = [
        *login.ROUTES,
        Mount("/static", StaticFiles(directory=STATIC)),
        *(route for pages in PAGES for route in pages.ROUTES),
    ]
    app = Starlette(
        routes=[Route("/", _to_console), Route(PREFIX, _to_console), Mount(PREFIX, routes=routes)],
        exception_handlers={404: _not_found},
    )
    app.state.console = Console(settings)
    return SecurityHeaders(Gate(app, settings))


async def _not_found(request: Request, _error: Exception) -> Response:
    return await page(_unknown_page)(request)


def _unknown_page(view: View) -> Response:
    message = "There is no such page. It may have moved; the navigation has all pages."
    return view.render("error.html", 404, title="Unknown page", message=message, hint="")


async def _to_console(_: Request) -> RedirectResponse:
    return RedirectResponse(f"{PREFIX}/")
