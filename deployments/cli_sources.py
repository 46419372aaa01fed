"""The commands that manage a source: `restart`, `token`, `stop`, `start`, `rename`, `delete`, `export`, `list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli_options import SOURCES, Json, Name

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "onepassword-source"


def list_sources(as_json: Json = False) -> None:
    """List all sources in short, the deleted ones too. `status` tells more."""
    from deployments.commands.list_sources import run  # noqa: PLC0415

    run(as_json=as_json)


def restart(name: Name, as_json: Json = False) -> None:
    """Clear the errors of a source and collect now. Without a running `up`, it collects in this process."""
    from deployments.commands.lifecycle import restart as run  # noqa: PLC0415

    raise typer.Exit(run(name, as_json=as_json))


def stop(name: Name, as_json: Json = False) -> None:
    """Stop the schedule of one source, and end its run after the page in hand. Others go on."""
    from deployments.commands.lifecycle import stop as run  # noqa: PLC0415

    run(name, as_json=as_json)


def start(name: Name, as_json: Json = False) -> None:
    """Resume the schedule of a stopped source."""
    from deployments.commands.lifecycle import start as run  # noqa: PLC0415

    run(name, as_json=as_json)


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of the source.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that it gets.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Rename a source; its events and cursors stay."""
    from deployments.commands.lifecycle import rename as run  # noqa: PLC0415

    run(old, new, as_json=as_json)


def delete(
    name: Name,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove its events too, for good. Asks for the name to be typed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a source, with its token and its schedule. Its events stay."""
    from deployments.commands.delete import run  # noqa: PLC0415

    run(name, purge=purge, yes=yes, as_json=as_json)


def export(
    name: Name,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Write the token too, which is masked otherwise.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write into FILE, which only you can read, instead."),
    ] = None,
) -> None:
    """Write the JSON configuration of a source, in the form that `apply` reads."""
    from deployments.commands.export import run  # noqa: PLC0415

    run(name, with_token=with_token, output=output)


def add(app: typer.Typer, given_token: Callable[[], str | None]) -> None:
    """Register the commands. `given_token` tells the token of the environment, where there was one."""

    def token(
        name: Name,
        unchecked: Annotated[
            bool, typer.Option("--unchecked", help="Replace it even where 1Password cannot be asked about it.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Replace the token of a source: asks for the new one without echo, and checks it first."""
        from deployments.commands.token import run  # noqa: PLC0415

        run(name, token=given_token(), unchecked=unchecked, as_json=as_json)

    for name, command, example in (
        ("list", list_sources, "list --json"),
        ("restart", restart, "restart 1Pass"),
        ("token", token, "token 1Pass < token.txt"),
        ("stop", stop, "stop 1Pass"),
        ("start", start, "start 1Pass"),
        ("rename", rename, "rename 1Pass acme"),
        ("delete", delete, "delete 1Pass"),
        ("export", export, "export 1Pass -o source.json"),
    ):
        app.command(name, epilog=f"Example: {PROGRAM} {example}", rich_help_panel=SOURCES)(command)
