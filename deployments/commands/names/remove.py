"""`onepassword-source names remove`: names are personal data, and can be removed at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from blocks.store import names, source_status
from deployments.commands.support.options import Json, Yes
from deployments.commands.support.usage import usage_error
from deployments.terminal_output import confirm, print_json, print_line

if TYPE_CHECKING:
    from deployments.json_records.events import RemovedNamesRecord

DETAILS = "--all asks first."


def command(
    uuids: Annotated[list[str] | None, typer.Argument(metavar="[UUID]…", help="Ids.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Remove all imported names.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove the names of some ids, or all. Raises ThirdPartyConfigError if neither or both are given."""
    if every == bool(uuids):
        raise usage_error("names remove", "Give either --all or the ids whose names you want to remove.")
    with source_status.opened_store() as engine:
        if every and not yes:
            confirm("Remove all imported names?", "Nothing was removed: it was not confirmed.")
        removed = names.remove(engine, None if every else uuids)
    if as_json:
        answer: RemovedNamesRecord = {"removed": removed}
        print_json(answer)
    else:
        print_line(f"{removed:,} name{'' if removed == 1 else 's'} removed.")
