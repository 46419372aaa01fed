"""`onepassword-source names list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from blocks.store import names, source_status
from deployments.commands.support.options import Json
from deployments.terminal_output import format_rfc3339, print_fitting, print_json, print_note, printable

if TYPE_CHECKING:
    from blocks.store.names import StoredName
    from deployments.json_records.events import NameRecord


def command(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="FILTER", help="Ids, kinds, names or addresses that contain this, in any case.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the imported names."""
    with source_status.opened_store() as engine:
        found = names.matching(engine, text or "")
    if as_json:
        print_json([_as_json(one) for one in found])
    elif found:
        print_fitting(_table(found))
    elif text:
        print_note(f"No imported name matches {printable(text)}.")
    else:
        print_note(
            "No names are imported. Import some with: op vault list --format json | onepassword-source names import -"
        )


def _table(found: list[StoredName]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "kind", "uuid", "vault"):
        table.add_column(title, header_style="dim", overflow="fold")
    for one in found:
        members = (one.object.name, one.object.kind.replace("_", " "), one.object.uuid, one.object.vault_uuid or "")
        table.add_row(*map(printable, members))
    return table


def _as_json(one: StoredName) -> NameRecord:
    return {
        "uuid": one.object.uuid,
        "kind": one.object.kind,
        "name": one.object.name,
        "vault_uuid": one.object.vault_uuid,
        "email": one.object.email,
        "imported": format_rfc3339(one.imported_ns),
    }
