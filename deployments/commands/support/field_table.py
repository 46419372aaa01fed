"""The table of fields in the store, which the commands `fields …` change."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from blocks import settings
from blocks.store import fields, schema
from blocks.store.engine import opened_engine
from deployments.terminal_output import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from deployments.json_records.events import ChangedFieldRecord


@contextmanager
def opened_or_created_store() -> Iterator[Engine]:
    """The store. It is created if there is none, because you may add fields before the first source."""
    with opened_engine(settings.database_url()) as engine:
        schema.upgrade(engine)
        yield engine


def change_of(is_changed: bool) -> str:
    """The value of `change` in `--json`."""
    return "updated" if is_changed else "unchanged"


def set_enabled(names: Sequence[str], *, enabled: bool, as_json: bool) -> None:
    """Enable or disable fields, and print which were enabled or disabled already."""
    with opened_or_created_store() as engine:
        changed = fields.set_enabled(engine, names, enabled=enabled)
    if as_json:
        fields_changed: list[ChangedFieldRecord] = [
            {"field": name, "enabled": enabled, "change": change_of(name in changed)} for name in dict.fromkeys(names)
        ]
        print_json(fields_changed)
        return
    state = "enabled" if enabled else "disabled"
    for name in dict.fromkeys(names):
        print_line(f"{name}: {state}." if name in changed else f"{name}: was already {state}.")
