"""`onepassword-source fields`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks import settings
from blocks.command_line import command_line
from blocks.store import fields, reading, schema
from blocks.store.engine import open_engine
from deployments.commands.present import joined, note, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine


def show(*, as_json: bool) -> None:
    """Print the table of fields."""
    known = fields.known(reading.open_store())
    if as_json:
        say_json([{"name": one.name, "enabled": one.enabled, "built_in": one.built_in} for one in known])
        return
    for one in known:
        state = "enabled" if one.enabled else "disabled"
        say(joined((state.ljust(8), "green" if one.enabled else "yellow"), (one.name, "bold"), (_kind(one), "dim")))
    if all(one.built_in for one in known):
        note("There is no field of your own yet. Add one with: onepassword-source fields add NAME")


def add(names: Sequence[str]) -> None:
    """Add fields and say which were there."""
    engine = _store()
    new = fields.add(engine, names)
    disabled = {one.name for one in fields.known(engine) if not one.enabled}
    for name in dict.fromkeys(names):
        if name in new:
            say(f"{name}: added.")
        elif name in disabled:
            say(f"{name}: was there, disabled. Enable it with: {command_line('fields enable', name)}")
        else:
            say(f"{name}: was there.")


def switch(names: Sequence[str], *, enabled: bool) -> None:
    """Enable or disable fields and say which were so already."""
    changed = fields.switch(_store(), names, enabled=enabled)
    state = "enabled" if enabled else "disabled"
    for name in dict.fromkeys(names):
        say(f"{name}: {state}." if name in changed else f"{name}: was {state}.")


def _kind(field: fields.Field) -> str:
    return "built in" if field.built_in else ""


def _store() -> Engine:
    """The store, made where there is none: fields may come before the first source."""
    engine = open_engine(settings.database_url())
    schema.upgrade(engine)
    return engine
