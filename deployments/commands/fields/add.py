"""`onepassword-source fields add`: add fields to the table of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from blocks.store import fields
from deployments.commands.support.field_table import opened_or_created_store
from deployments.commands.support.options import FieldNames, Json
from deployments.terminal_output import print_json, print_line

if TYPE_CHECKING:
    from deployments.json_records.events import ChangedFieldRecord


def command(names: FieldNames, as_json: Json = False) -> None:
    """Add fields, and print which existed already."""
    with opened_or_created_store() as engine:
        new = fields.create(engine, names)
        disabled = {one.name for one in fields.all_fields(engine) if not one.enabled}
    if as_json:
        changed: list[ChangedFieldRecord] = [
            {"field": name, "enabled": name not in disabled, "change": "created" if name in new else "unchanged"}
            for name in dict.fromkeys(names)
        ]
        print_json(changed)
        return
    for name in dict.fromkeys(names):
        if name in new:
            print_line(f"{name}: added.")
        elif name in disabled:
            print_line(f"{name}: already exists, disabled. Enable it with: {command_line('fields enable', name)}")
        else:
            print_line(f"{name}: already exists.")
