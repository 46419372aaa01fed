"""The signatures of `onepassword-source backfill` and `reconcile`: what reads a past time again."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import SOURCES, Apis, Json, Name

EXAMPLE = "Example: onepassword-source backfill 1Pass --start 2026-08-01 --end 2026-08-15 --plan"
DAILY = "Example: onepassword-source reconcile 1Pass --last 7d"


def add(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(epilog=EXAMPLE, rich_help_panel=SOURCES)(backfill)
    app.command(epilog=DAILY, rich_help_panel=SOURCES)(reconcile)


def backfill(  # noqa: PLR0917 - typer calls it by name
    name: Name,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="A date, a time, or a duration before now: 30d.", show_default=False),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="The same; now where left out.", show_default=False)
    ] = None,
    api: Apis = None,
    window: Annotated[str, typer.Option(metavar="TIME", help="How long a part is; dense ones are cut.")] = "1d",
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be read, and how long it takes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest that is not finished.")] = False,
    readers: Annotated[int, typer.Option(min=1, max=16, help="Windows that are read at once.")] = 4,
    distributed: Annotated[
        int, typer.Option(metavar="RUNS", min=0, max=100, help="Further runs on the work pool that share the work.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Read a past span of time again and store what is missing. Live collection goes on, and goes first."""
    from deployments.commands.backfill import Wish, run  # noqa: PLC0415

    raise typer.Exit(run(Wish(name, start, end, tuple(api or ()), window, plan, resume, readers, distributed, as_json)))


def reconcile(
    name: Name,
    last: Annotated[str, typer.Option(metavar="TIME", help="How far back: 48h, 7d.")] = "48h",
    api: Apis = None,
    as_json: Json = False,
) -> None:
    """Read the recent past again and compare it with the store; a schedule does so every day."""
    from deployments.commands.reconcile import run  # noqa: PLC0415

    raise typer.Exit(run(name, last, api or [], as_json=as_json))
