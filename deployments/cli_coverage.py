"""The signature of `onepassword-source coverage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.cli_options import DATA, Apis, Json, Name

EXAMPLE = "Example: onepassword-source coverage 1Pass --html coverage.html"


def add(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=EXAMPLE, rich_help_panel=DATA)(coverage)


def coverage(  # noqa: PLR0917 - typer calls it by name
    name: Name,
    api: Apis = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From then on: 30d, a date, or RFC 3339; 120d where left out, and 7d with --hours.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[bool, typer.Option("--hours", help="By the hour instead of by the day.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a page with charts, which needs no network.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what was collected, when it was last reconciled, and the gaps, with the command that closes each."""
    from deployments.commands.coverage import Wish, run  # noqa: PLC0415

    run(Wish(name, tuple(api or ()), since, hours, html, as_json))
