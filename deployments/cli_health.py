"""The command `health`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import SOURCES, Json


def add(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: onepassword-source health 1Pass --since 30d", rich_help_panel=SOURCES)(health)


def health(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One source; all where left out.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="What was told then or later: 24h, 30d, a date, or RFC 3339; 7d where left out."
        ),
    ] = None,
    as_json: Json = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new ones, until Ctrl-C.")] = False,
) -> None:
    """Show the health events, oldest first: what went wrong, when it was over, what to do."""
    from deployments.commands.health import run  # noqa: PLC0415

    run(name, since=since, as_json=as_json, follow=follow)
