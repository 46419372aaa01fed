"""`onepassword-source env`: the environment of Prefect's own command line."""

from __future__ import annotations

import typer

from deployments.commands.support.options import Json
from deployments.prefect_api import server_access
from deployments.terminal_output import print_json

DETAILS = """
Use it as `eval "$(onepassword-source env)"`. With --json it prints the variables as an object.
"""


def command(as_json: Json = False) -> None:
    """Print the environment of Prefect's own command line, for `eval` or as a JSON object. It holds a password."""
    if not as_json:
        typer.echo(server_access.shell_exports(), nl=False)
        return
    external = server_access.external_url() is not None
    print_json({} if external else server_access.prefect_environment())
