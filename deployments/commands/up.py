"""`onepassword-source up`: run everything on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.commands.support.log_format import LogFormat, chosen_log_format
from deployments.one_machine.up import up
from deployments.prefect_api.server_access import parse_listen_address
from deployments.prefect_session import quiet_prefect
from deployments.service_log import open_log
from deployments.terminal_output import print_note

DETAILS = """
The Prefect server comes with its UI and with the console. Both need the password that this command shows.
"""


def command(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where the Prefect server listens. Other than loopback needs TLS in front."
        ),
    ] = "127.0.0.1",
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Its public address behind a TLS proxy: https://prefect.example.com"),
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Run everything until Ctrl-C."""
    at = parse_listen_address(host, public_url)
    quiet_prefect()
    up(open_log(chosen_log_format(log_format), print_note), at)
