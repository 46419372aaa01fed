"""`onepassword-source env`."""

from __future__ import annotations

import typer

from deployments import prefect_access
from deployments.commands.options import Json
from deployments.commands.present import say_json


def command(as_json: Json = False) -> None:
    """Print the environment of Prefect's own command line, for `eval` or as a JSON object. It holds a password."""
    if not as_json:
        typer.echo(prefect_access.shell_exports(), nl=False)
        return
    external = prefect_access.external_url() is not None
    say_json({} if external else prefect_access.prefect_environment())
