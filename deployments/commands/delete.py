"""`onepassword-source delete`: delete a source. Its events stay unless you purge them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from deployments import deferred
from deployments.commands.support.options import Json, Name, Yes
from deployments.prefect_session import prefect_session
from deployments.terminal_output import ERROR, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from deployments.json_records.sources import DeleteRecord
    from deployments.lifecycle import Deletion

DETAILS = """
Its run ends after the current page. Then the schedule, the deployment and the token are removed. `apply` attaches the
source to its events again.
"""


def command(
    name: Name,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also remove its events permanently. You type the name to confirm.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete the source. With `purge`, you confirm by typing its name, unless `yes` is given."""
    if purge and not yes:
        _confirm(name)
    with prefect_session():
        deleted = _delete(name, purge=purge)
    if as_json:
        answer: DeleteRecord = {"source": name, "deleted": True, "events": deleted.kept, "purged": deleted.purged}
        print_json(answer)
        return
    _show(deleted)


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            "--purge removes events permanently and needs a confirmation.",
            hint="Without a terminal, add --yes.",
            code="usage",
        )
    print_note(f"This removes {name} and all of its events permanently.")
    if typer.prompt("Type its name to continue", err=True) != name:
        raise ThirdPartyConfigError("The name does not match. Nothing was removed.", code="usage")


def _delete(name: str, *, purge: bool) -> Deletion:
    if not sys.stderr.isatty():
        return deferred.lifecycle.delete(name, purge=purge)
    rows = 0
    with ERROR.status("The run in progress finishes its page…") as sign:

        def count(removed: int) -> None:
            nonlocal rows
            rows += removed
            sign.update(f"Removing events: {rows:,} rows so far…")

        return deferred.lifecycle.delete(name, purge=purge, removed=count)


def _show(deleted: Deletion) -> None:
    name = printable(deleted.name)
    if deleted.purged is not None:
        apis = deleted.purged["apis"]
        events, quarantined = (sum(each[kind] for each in apis.values()) for kind in ("events", "quarantined"))
        aside = f" and {quarantined:,} items in quarantine" if quarantined else ""
        print_line(f"{name}: purged. {events:,} events{aside} were removed. The operation is recorded.")
        return
    print_line(
        f"{name}: {'was already deleted' if deleted.was_deleted else 'deleted'}. {deleted.kept:,} events are kept."
    )
    if deleted.kept:
        print_note(f"See them with: {command_line('events', deleted.name)}")
        print_note(f"Remove them with: {command_line('delete', deleted.name, options=('--purge',))}")
