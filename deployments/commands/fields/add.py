"""`onepassword-source fields add`."""

from __future__ import annotations

from blocks.command_line import command_line
from blocks.store import fields
from deployments.commands.support.field_table import open_field_store
from deployments.commands.support.options import FieldNames, Json
from deployments.commands.support.output import say, say_json


def command(names: FieldNames, as_json: Json = False) -> None:
    """Add fields and say which were there."""
    engine = open_field_store()
    new = fields.add(engine, names)
    disabled = {one.name for one in fields.known(engine) if not one.enabled}
    if as_json:
        say_json(
            [
                {"field": name, "enabled": name not in disabled, "change": "created" if name in new else "unchanged"}
                for name in dict.fromkeys(names)
            ]
        )
        return
    for name in dict.fromkeys(names):
        if name in new:
            say(f"{name}: added.")
        elif name in disabled:
            say(f"{name}: was there, disabled. Enable it with: {command_line('fields enable', name)}")
        else:
            say(f"{name}: was there.")
