"""The command `check`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import SOURCES, Json, Name


def add(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: onepassword-source check 1Pass", rich_help_panel=SOURCES)(check)


def check(
    name: Name,
    deep: Annotated[
        bool, typer.Option("--deep", help="Request one event of each API too, and send a probe to each SIEM.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at everything a source needs, one line each: ok, or what to do. Changes nothing. Exit code 1 for a fault."""
    from deployments.commands.check import run  # noqa: PLC0415

    raise typer.Exit(run(name, deep=deep, as_json=as_json))
