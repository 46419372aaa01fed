"""`onepassword-source delete`: remove a source; its events stay, unless they are purged."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from deployments.commands.support import deferred
from deployments.commands.support.options import Json, Name, Yes
from deployments.prefect_session import prefect_session
from deployments.terminal_output import ERROR, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from deployments.lifecycle import Deletion


def command(
    name: Name,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove its events too, for good. Asks for the name to be typed.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete the source. `purge` asks first for its name to be typed, unless `yes`."""
    if purge and not yes:
        _confirm(name)
    with prefect_session():
        deleted = _delete(name, purge=purge)
    if as_json:
        print_json({"source": name, "deleted": True, "events": deleted.kept, "purged": deleted.purged})
        return
    _show(deleted)


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            "--purge removes events for good, and nobody is there to be asked.", hint="Add --yes.", code="usage"
        )
    print_note(f"This removes {name} and all of its events, for good.")
    if typer.prompt("Type its name to go on", err=True) != name:
        raise ThirdPartyConfigError("That is another name. Nothing was removed.", code="usage")


def _delete(name: str, *, purge: bool) -> Deletion:
    if not sys.stderr.isatty():
        return deferred.lifecycle.delete(name, purge=purge)
    rows = 0
    with ERROR.status("The run in progress finishes its page…") as sign:

        def count(gone: int) -> None:
            nonlocal rows
            rows += gone
            sign.update(f"Removing what is kept: {rows:,} rows so far…")

        return deferred.lifecycle.delete(name, purge=purge, removed=count)


def _show(deleted: Deletion) -> None:
    name = printable(deleted.name)
    if deleted.purged is not None:
        apis = deleted.purged["apis"]
        events, quarantined = (sum(each[kind] for each in apis.values()) for kind in ("events", "quarantined"))
        aside = f" and {quarantined:,} items in quarantine" if quarantined else ""
        print_line(f"{name}: purged. {events:,} events{aside} were removed; a record of that stays.")
        return
    print_line(
        f"{name}: {'was deleted before' if deleted.was_deleted else 'deleted'}. {deleted.kept:,} events are kept."
    )
    if deleted.kept:
        print_note(f"See them with: {command_line('events', deleted.name)}")
        print_note(f"Remove them with: {command_line('delete', deleted.name, options=('--purge',))}")
