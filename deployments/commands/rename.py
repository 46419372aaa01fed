"""`onepassword-source rename`: rename a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployments import deferred
from deployments.commands.support.options import Json
from deployments.commands.support.run_notes import FINISHING_PAGE
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, printable, with_spinner

if TYPE_CHECKING:
    from deployments.json_records.sources import RenameRecord

DETAILS = "Its id, events and cursors stay, and a scheduled run uses the new name."


def command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of the source.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Rename a source."""
    with prefect_session():
        with_spinner(FINISHING_PAGE, lambda: deferred.lifecycle.rename(old, new))
    if as_json:
        answer: RenameRecord = {"source": new, "former_source": old}
        print_json(answer)
    else:
        print_line(f"{printable(old)}: renamed to {printable(new)}. Its events and cursors stay.")
    print_note(f"Change the name in its file too. Otherwise `apply` creates a new source named {old}.")
