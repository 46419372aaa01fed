"""`onepassword-source worker`: take runs from a Prefect server, on one of several machines."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer

from blocks import json_log, python_process
from blocks.errors import ThirdPartyConfigError
from deployments import working_directory
from deployments.commands.support.log_format import LogFormat, chosen_log_format
from deployments.one_machine.run_limit import runs_at_once
from deployments.prefect_api import server_access, server_settings, templates

PORT_MAX = 65535
ENVIRONMENT = {
    **server_settings.RUNS,
    # A server behind the guard has no CSRF tokens. Each client would first request one.
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    "PREFECT_LOGGING_COLORS": "false",
    "DO_NOT_TRACK": "1",
}


DETAILS = """\
It needs PREFECT_API_URL, PREFECT_API_AUTH_STRING and the store of ONEPASSWORD_SOURCE_DATABASE_URL. It starts as many
runs at once as half of the memory of the machine or of its container holds. On SIGTERM its runs finish the current
page.
"""


def command(
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name on the Prefect server; default: this machine's.")
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(min=1, max=PORT_MAX, help="Serve /health there: 503 if the worker hangs. Default: no port."),
    ] = None,
    log_format: LogFormat = None,
) -> None:
    """Take runs of the sources until Ctrl-C. It starts as many at once as half of the memory holds."""
    if server_access.external_url() is None:
        raise ThirdPartyConfigError(
            "PREFECT_API_URL is not set, so there is no server to take runs from.",
            hint="Set it to https://…/api. On one machine, `onepassword-source up` has its own worker.",
            code="setting",
        )
    is_json = chosen_log_format(log_format) == "json"
    logging = {**json_log.prefect_settings("worker"), "PREFECT_CLI_WRAP_LINES": "false"} if is_json else {}
    working_directory.leave()
    arguments = ["--pool", templates.work_pool(), "--type", templates.POOL_TYPE, "--name", name or socket.gethostname()]
    arguments += ["--limit", str(runs_at_once())]
    environment = {**os.environ, **ENVIRONMENT, **logging}
    if health_port is not None:
        arguments.append("--with-healthcheck")
        environment["PREFECT_WORKER_WEBSERVER_PORT"] = str(health_port)
    # Replaced, not started: signals reach the worker itself.
    module = "deployments.one_machine.json_worker" if is_json else "prefect"
    os.execve(sys.executable, python_process.command(module, "worker", "start", *arguments), environment)  # noqa: S606
