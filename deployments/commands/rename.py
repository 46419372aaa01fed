"""`onepassword-source rename`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.commands.support import deferred
from deployments.commands.support.options import Json
from deployments.commands.support.output import note, plain, say, say_json, with_spinner
from deployments.commands.support.prefect_server import prefect
from deployments.commands.support.run_notes import ENDING


def command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The name of the source.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Give a source another name."""
    with prefect():
        with_spinner(ENDING, lambda: deferred.lifecycle.rename(old, new))
    if as_json:
        say_json({"source": new, "former_source": old})
    else:
        say(f"{plain(old)}: renamed to {plain(new)}. Its events and cursors stay.")
    note(f"Change the name in its file too: applied as it is, it would make a source named {old}.")
