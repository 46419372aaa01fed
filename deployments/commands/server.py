"""`onepassword-source server`: the Prefect server alone, for workers on several machines."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blocks import json_log, settings
from deployments.commands.support.log_format import LogFormat, chosen_log_format
from deployments.prefect_api import shared_server
from deployments.prefect_api.server_access import parse_listen_address
from deployments.prefect_session import quiet_prefect
from deployments.service_log import open_log
from deployments.terminal_output import print_note

PART = "server"
PLAIN_HTTP = (
    "The server listens on {host} in plain HTTP: anyone on the network path can read the API password, and with it "
    "your 1Password tokens. Let only your workers and a TLS proxy connect to it, or give it a certificate with "
    "--tls-certificate and --tls-key."
)


DETAILS = """\
It needs a PostgreSQL of yours, a password and a key: PREFECT_SERVER_DATABASE_CONNECTION_URL,
PREFECT_SERVER_API_AUTH_STRING and PREFECT_SERVER_ENCRYPTION_KEY, each of which may come from a file. It has the guard
and the settings of the server of `up`, and listens on the port of ONEPASSWORD_SOURCE_PORT.

`/healthz` answers 200 while Prefect's database answers. `/metrics` has the metrics of the sources; it needs the API
password, unless only this machine is served.
"""


def command(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where it listens. Other than loopback needs TLS.")
    ] = "127.0.0.1",
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Its public address behind a TLS proxy: https://prefect.example.com"),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A name by which workers reach it in a private network. Repeatable."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The PEM certificate chain, to serve HTTPS itself.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of the certificate.")] = None,
    log_format: LogFormat = None,
) -> None:
    """Serve Prefect's API and pages until Ctrl-C, behind the guard, on a PostgreSQL of yours."""
    tls = shared_server.tls_files(tls_certificate, tls_key)
    at = parse_listen_address(host, public_url, names=tuple(name or ()), scheme="https" if tls else "http")
    settings.trusted_proxies()  # a wrong entry is refused before Prefect is imported
    quiet_prefect()
    log = open_log(chosen_log_format(log_format), print_note)
    say = partial(log, part=PART)
    if log.is_json:
        os.environ.update(json_log.prefect_settings(PART))
    shared_server.activate(at)
    if not at.is_local and tls is None:
        say(f"Warning: {PLAIN_HTTP.format(host=host)}")
    from deployments.one_machine import guarded_server  # noqa: PLC0415 - imports Prefect, which reads the environment

    origin = at.public_url or at.origin
    say(f"Prefect's API: {origin}/api", event="ready", url=origin)
    app = guarded_server.create_app(alone=True)
    guarded_server.serve(app, at.host, settings.port(), log_level="WARNING", tls=tls)
