"""The signatures of `onepassword-source fields …`, `prune` and `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import DATA, Apis, Json, Name

PROGRAM = "onepassword-source"
HELP = "Show and change which fields a source may give its events, wherever they are sent on."

Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of fields.", show_default=False)]


def list_fields(as_json: Json = False) -> None:
    """List the fields, enabled or not."""
    from deployments.commands.fields import show  # noqa: PLC0415

    show(as_json=as_json)


def add_fields(names: Names) -> None:
    """Add fields: letters, digits and _, at most 255."""
    from deployments.commands.fields import add  # noqa: PLC0415

    add(names)


def enable(names: Names) -> None:
    """Enable fields: they are sent on again."""
    from deployments.commands.fields import switch  # noqa: PLC0415

    switch(names, enabled=True)


def disable(names: Names) -> None:
    """Disable fields: they are dropped wherever events are sent on."""
    from deployments.commands.fields import switch  # noqa: PLC0415

    switch(names, enabled=False)


def prune(  # noqa: PLR0917 - typer calls it by name
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One source; all where left out.", show_default=False)
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long events are kept: 400d, 60w; at least 121d.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="From now on daily, weekly or monthly; nothing now.", show_default=False),
    ] = None,
    no_schedule: Annotated[bool, typer.Option("--no-schedule", help="End the schedule.")] = False,
    as_json: Json = False,
) -> None:
    """Remove events older than a time, now or on a schedule. The uuid and digest of each stay."""
    from deployments.commands.prune import Wish, run  # noqa: PLC0415

    run(Wish(older_than, name, dry_run, yes, schedule, no_schedule, as_json))


def verify(
    name: Name,
    api: Apis = None,
    head: Annotated[
        bool, typer.Option("--head", help="Only print the present head, one line to keep elsewhere.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="A head, or a file of heads (- reads standard input).", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove that nothing stored was changed, removed or added since its commit. Exit code 1 where it was."""
    from deployments.commands.verify import Wish, run  # noqa: PLC0415

    raise typer.Exit(run(Wish(name, tuple(api or ()), head, against, as_json)))


def add(app: typer.Typer) -> None:
    """Register the commands."""
    fields = typer.Typer(help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
    fields.command("list", epilog=f"Example: {PROGRAM} fields list --json")(list_fields)
    fields.command("add", epilog=f"Example: {PROGRAM} fields add team region")(add_fields)
    fields.command(epilog=f"Example: {PROGRAM} fields enable team")(enable)
    fields.command(epilog=f"Example: {PROGRAM} fields disable team")(disable)
    app.add_typer(fields, name="fields", rich_help_panel=DATA)
    app.command(epilog=f"Example: {PROGRAM} prune --older-than 400d --dry-run", rich_help_panel=DATA)(prune)
    app.command(epilog=f"Example: {PROGRAM} verify 1Pass --against heads.jsonl", rich_help_panel=DATA)(verify)
