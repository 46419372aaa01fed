"""`onepassword-source console`: serve the console alone. `up` serves it beside Prefect."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn

from blocks import json_log, settings
from blocks.errors import FirstPartyGenericError
from deployments.commands.support.log_format import LogFormat, chosen_log_format
from deployments.console.app import create_app
from deployments.console.indexing import start_indexing
from deployments.console.passwords import Passwords
from deployments.console.settings import ConsoleSettings
from deployments.one_machine.guard import guard_app
from deployments.prefect_api import server_access, server_secrets
from deployments.prefect_api.server_access import parse_listen_address
from deployments.prefect_session import quiet_prefect
from deployments.service_log import open_log
from deployments.terminal_output import print_note

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployments.prefect_api.server_access import PrefectAccess

PORT_MAX = 65535
PART = "console"
PLAIN_HTTP = (
    "The console listens on {host} in plain HTTP: anyone on the network path can read events and the password. Put a "
    "TLS proxy in front, on this machine: leave out --host, and set --public-url to the proxy's address."
)
READ_ONLY = "No Prefect server is configured, so the console only reads. Set PREFECT_API_URL, or start `up`, to act."

DETAILS = """
This is for several machines, or beside a Prefect server of your own. The console only reads if no Prefect API is
configured.
"""


def command(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where it listens. Other than loopback needs TLS in front.")
    ] = server_access.HOST,
    port: Annotated[int, typer.Option(min=1, max=PORT_MAX, help="The port.")] = 4280,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Its public address behind a TLS proxy: https://soc.example.com")
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Serve the console until Ctrl-C: on this machine's store, or on PostgreSQL for several machines."""
    at = parse_listen_address(host, public_url, port=port)
    proxies = settings.trusted_proxies()
    quiet_prefect()
    log = open_log(chosen_log_format(log_format), print_note)
    say = partial(log, part=PART)
    passwords, is_set = _passwords()
    access = _access(say)
    can_act = access is not None and access.kind != "temporary"
    if not can_act:
        say(READ_ONLY)
    if not at.is_local:
        say(f"Warning: {PLAIN_HTTP.format(host=host)}")
    https = frozenset(one.removeprefix("https://") for one in at.origins if one.startswith("https://"))
    prefect = _prefect_pages(access)
    app = create_app(ConsoleSettings(passwords, can_act, https, prefect_url=prefect))
    start_indexing()
    origin = at.public_url or at.origin
    say(f"Open {origin}", event="ready", url=origin)
    say(_login_lines(passwords, is_set=is_set, may_show=log.may_show_secrets))
    uvicorn.run(
        guard_app(app, at.origins),
        host=at.host,
        port=port,
        forwarded_allow_ips=proxies,  # uvicorn's default believes every process of this machine
        log_level="warning",
        log_config=json_log.uvicorn_settings(PART) if log.is_json else uvicorn.config.LOGGING_CONFIG,
        server_header=False,
        access_log=False,
    )


def _passwords() -> tuple[Passwords, bool]:
    """Those of the settings, and True; otherwise those of this machine's `up`."""
    operator, viewer = settings.read_secret("CONSOLE_PASSWORD"), settings.read_secret("CONSOLE_VIEWER_PASSWORD")
    if operator is None and viewer is not None:
        raise FirstPartyGenericError(
            f"{settings.PREFIX}CONSOLE_VIEWER_PASSWORD is set, and {settings.PREFIX}CONSOLE_PASSWORD is not.",
            hint="Set both, or none: then the console has the passwords that `up` prints.",
            code="setting",
        )
    if operator is None:
        return Passwords.derived(server_secrets.load_secrets().api_password), False
    return (Passwords(operator, viewer) if viewer is not None else Passwords.derived(operator)), True


def _access(say: Callable[[str], None]) -> PrefectAccess | None:
    """The Prefect server that actions use. None if an `up` runs whose server does not answer: reading still works."""
    try:
        access = server_access.activate()
    except FirstPartyGenericError as error:
        say(f"Warning: {error.message} The console only reads.")
        return None
    for warning in access.warnings:
        say(f"Warning: {warning}")
    return access


def _prefect_pages(access: PrefectAccess | None) -> str | None:
    """Where browsers find Prefect's pages. The address of its API may be one of a private network."""
    if access is None or not access.url:
        return None
    return os.environ.get("PREFECT_UI_URL", "").rstrip("/") or access.url.removesuffix("/api")


def _login_lines(passwords: Passwords, *, is_set: bool, may_show: bool) -> str:
    if is_set:
        return f"Log in with {settings.PREFIX}CONSOLE_PASSWORD. Stop with Ctrl-C."
    if not may_show:
        return (
            f"Log in with the passwords that `up` shows on a terminal; the first is in {server_secrets.secrets_path()}."
        )
    return f"Log in with {passwords.operator} (operator) or {passwords.viewer} (viewer). Stop with Ctrl-C."
