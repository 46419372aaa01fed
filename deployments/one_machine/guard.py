"""Prefect's server behind a guard: who asks by a name, or from a web page, that is not ours gets no answer.

A browser reaches loopback, and takes any page there by a name of the page's own (DNS rebinding): so the password alone
does not tell who asks. The guard stands before all that Prefect serves, its WebSockets too.
`python -m deployments.one_machine.guard` runs it as `prefect server start` does, with `server_access`'s environment.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from deployments.one_machine import browser_isolation, health_pages, ui_copy, up_health
from deployments.one_machine.browser_isolation import BrowserIsolation
from deployments.one_machine.health_pages import HealthPages
from deployments.prefect_api import database, server_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

FORBIDDEN = 403
SQLITE_BUSY_MILLISECONDS = 5000
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


class OriginGuard:
    """Refuses what a web page of another origin asks, whatever password it knows."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and self._is_foreign(Headers(scope=scope)):
            refusal = PlainTextResponse("Refused: this page is not the Prefect UI of this server.", FORBIDDEN)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        if not self._origins.issuperset(headers.getlist("origin")):
            return True
        # A browser leaves Origin out where the page may not read the answer, but tells this. A followed link is fine.
        if headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
            return False
        return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


def guard_app(app: ASGIApp, origins: Iterable[str]) -> ASGIApp:
    """The application for requests to the hosts of these origins, from these origins or from no web page."""
    allowed = frozenset(origins)
    hosts = sorted({_host(origin) for origin in allowed})
    return BrowserIsolation(TrustedHostMiddleware(OriginGuard(app, allowed), hosts, www_redirect=False))


def _host(origin: str) -> str:
    parts = urlsplit(origin)
    return parts.netloc.removesuffix(f":{parts.port}")  # an IPv6 address keeps its brackets, as in the header


def create_app() -> ASGIApp:
    """Prefect's server as the environment configures it, with its services, behind the guard."""
    server_secrets.hold_secrets()
    from prefect.server.api import server  # noqa: PLC0415 - reads its settings from the environment

    _shorten_waits_of_sqlite()
    browser_isolation.use_local_collections()
    _leave_out_second_ui()
    app = server.create_app(final=True)
    ui_copy.complete(Path(os.environ["PREFECT_SERVER_UI_STATIC_DIRECTORY"]))
    origins = os.environ[ORIGINS].split(",")
    auth = health_pages.metrics_auth(origins, os.environ.get("PREFECT_SERVER_API_AUTH_STRING"))
    return guard_app(HealthPages(app, up_health.path(), auth=auth), origins)


def _shorten_waits_of_sqlite() -> None:
    """Where SQLite has to do: have Prefect wait five seconds for a lock, and not a minute.

    It answers 503 then, and its clients try again. While it waits, an event loop that frees an older cursor of the
    same connection waits too, and with it the whole server.
    """
    from sqlalchemy import event  # noqa: PLC0415 - comes with Prefect's server
    from sqlalchemy.pool import Pool  # noqa: PLC0415

    @event.listens_for(Pool, "checkout")
    def wait_less(connection: Any, _record: object, _proxy: object) -> None:  # Prefect sets a minute on connecting
        if "sqlite" in type(connection).__module__:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MILLISECONDS}")
            cursor.close()


def _leave_out_second_ui() -> None:
    """As if it were not installed, which Prefect passes over; else it logs an error that it cannot be unpacked.

    `server_access` keeps it out, and says why. It does so too where a later Prefect looks elsewhere.
    """
    import prefect  # noqa: PLC0415 - as above

    prefect.__ui_v2_static_path__ = Path(os.environ["PREFECT_SERVER_UI_STATIC_DIRECTORY"]) / "kept-out"


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log-level")
    options = parser.parse_args()
    with database.keep_alive():  # until this process ends, however the one that started it ends
        _serve(options)


def _serve(options: argparse.Namespace) -> None:
    app = create_app()
    import uvicorn  # noqa: PLC0415 - as Prefect
    from prefect.settings import get_current_settings  # noqa: PLC0415 - as above

    server = get_current_settings().server
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=(options.log_level or server.logging_level).lower(),
    )


if __name__ == "__main__":
    main()
