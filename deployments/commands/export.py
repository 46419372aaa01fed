"""`onepassword-source export`: the JSON that `apply` reads."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from blocks.config.source_file import to_json
from deployments import deferred
from deployments.commands.support.options import Name, Output
from deployments.commands.support.output_file import output_file
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_note, print_warning

DETAILS = "The token is masked unless you give --with-token."


def command(
    name: Name,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Write the token too; without this it is masked.")
    ] = False,
    output: Output = None,
) -> None:
    """Write the configuration. The token is masked unless `with_token` is set."""
    # Absolute, because `prefect_session` leaves the working directory.
    path = output.absolute() if output is not None and str(output) != "-" else None
    with prefect_session():
        text = to_json(deferred.lifecycle.locate(name).valid_block().config(), mask=not with_token)
    if path is None:
        if with_token and sys.stdout.isatty():
            print_warning("The token is shown below. Anyone who sees this screen can read it.")
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        sys.stdout.write(text)
        return
    with output_file(path) as file:
        file.write(text)
    print_note(f"Written to {output}. {'It holds the token.' if with_token else 'The token is masked in it.'}")
