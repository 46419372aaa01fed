"""`onepassword-source fields list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store import fields, source_status
from deployments.commands.support.options import Json
from deployments.terminal_output import join_styled, print_json, print_line, print_note

if TYPE_CHECKING:
    from deployments.json_records.events import FieldRecord


def command(as_json: Json = False) -> None:
    """Print the table of fields."""
    with source_status.opened_store() as engine:
        known = fields.all_fields(engine)
    if as_json:
        found: list[FieldRecord] = [
            {"field": one.name, "enabled": one.enabled, "built_in": one.built_in} for one in known
        ]
        print_json(found)
        return
    for one in known:
        state = "enabled" if one.enabled else "disabled"
        kind = "built in" if one.built_in else ""
        print_line(
            join_styled((state.ljust(8), "green" if one.enabled else "yellow"), (one.name, "bold"), (kind, "dim"))
        )
    if all(one.built_in for one in known):
        print_note("You have no fields of your own yet. Add one with: onepassword-source fields add NAME")
