"""Prefect's server behind the guard, as a program: `python -m deployments.one_machine.guarded_server`.

It serves as `prefect server start` does, with the environment of `server_access`. Importing it imports Prefect.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prefect
import uvicorn
from prefect.server.api import collections, server
from prefect.settings import get_current_settings
from sqlalchemy import event
from sqlalchemy.pool import Pool

from blocks import json_log, settings
from deployments import up_health
from deployments.console.indexing import start_indexing
from deployments.one_machine import health_pages, ui_copy
from deployments.one_machine.console_front import ConsoleFront
from deployments.one_machine.guard import guard_app
from deployments.one_machine.health_pages import HealthPages
from deployments.prefect_api import database, server_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SQLITE_BUSY_MILLISECONDS = 5000
CLOSING_SECONDS = 10
"""How long a stop waits for clients to close their connections. Workers hold WebSockets open for good."""
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


def create_app(*, with_console: bool = False, alone: bool = False) -> ASGIApp:
    """Prefect's server as the environment configures it, with its services and the console, behind the guard.

    `alone` means that no `up` watches it.
    """
    server_secrets.hold_secrets()
    _shorten_waits_of_sqlite()
    _use_local_collections()
    _leave_out_second_ui()
    app: ASGIApp = server.create_app(final=True)
    ui_copy.complete(Path(os.environ["PREFECT_SERVER_UI_STATIC_DIRECTORY"]))
    origins, auth_string = os.environ[ORIGINS].split(","), os.environ["PREFECT_SERVER_API_AUTH_STRING"]
    auth = health_pages.metrics_auth(origins, auth_string)
    if with_console:
        app = _after_startup(ConsoleFront(app, auth_string, origins), start_indexing)
    return guard_app(HealthPages(app, None if alone else up_health.path(), auth=auth), origins)


def _after_startup(app: ASGIApp, action: Callable[[], object]) -> ASGIApp:
    """The app, which does this once it has started: Prefect has migrated its database by then.

    An indexer opens the store and may migrate it. Both migrations use Alembic, which can run only one in a process: it
    keeps the current one in a module.
    """

    async def started(scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                action()
            await send(message)

        await app(scope, receive, forward if scope["type"] == "lifespan" else send)

    return started


def _shorten_waits_of_sqlite() -> None:
    """Make Prefect wait five seconds for a lock of SQLite instead of a minute.

    Prefect then answers 503, and its clients retry. While it waits, an event loop that frees an older cursor of the
    same connection waits too, and the whole server with it.
    """

    @event.listens_for(Pool, "checkout")
    def wait_less(connection: Any, _record: object, _proxy: object) -> None:  # Prefect sets a minute on connecting
        if "sqlite" in type(connection).__module__:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MILLISECONDS}")
            cursor.close()


def _use_local_collections() -> None:
    """Make Prefect's server answer with its own copies of the lists that it would fetch from GitHub."""
    copies = (Path(collections.__file__).parent / "collections_data" / "views").glob("*.json")
    collections.GLOBAL_COLLECTIONS_VIEW_CACHE = {path.stem: json.loads(path.read_bytes()) for path in copies}  # type: ignore[assignment]
    collections.KNOWN_VIEWS.clear()


def _leave_out_second_ui() -> None:
    """Make Prefect skip its second UI, as if that were not installed.

    `server_access` keeps the UI out and says why, also with a later Prefect that looks elsewhere. Without this, Prefect
    logs an error because it cannot unpack the UI.
    """
    prefect.__ui_v2_static_path__ = Path(os.environ["PREFECT_SERVER_UI_STATIC_DIRECTORY"]) / "kept-out"


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log-level")
    parser.add_argument("--console", action="store_true")
    options = parser.parse_args()
    with database.keep_alive():  # until this process ends, however the process that started it ends
        _serve(options)


def _serve(options: argparse.Namespace) -> None:
    log_level = options.log_level or get_current_settings().server.logging_level
    serve(create_app(with_console=options.console), options.host, options.port, log_level=log_level)


def serve(app: ASGIApp, host: str, port: int, *, log_level: str, tls: tuple[str, str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `tls` is the file of the certificate and that of its key.

    Raises ThirdPartyConfigError for a wrong log format, or a wrong entry of the trusted proxies.
    """
    api = get_current_settings().server.api
    certificate, key = tls or (None, None)
    is_json = settings.log_format() == "json"
    uvicorn.run(
        app,
        host=host,
        port=port,
        timeout_keep_alive=api.keepalive_timeout,
        timeout_graceful_shutdown=CLOSING_SECONDS,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        forwarded_allow_ips=settings.trusted_proxies(),  # uvicorn's default believes every process of this machine
        log_level=log_level.lower(),
        log_config=json_log.uvicorn_settings("server") if is_json else uvicorn.config.LOGGING_CONFIG,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


if __name__ == "__main__":
    main()
