"""The tables of the store at one schema version: what a copy of a store has to hold, and in which order.

They are read from an empty store that is migrated to that version, so a new table or column needs no change here, and
tables of others in the same database are left alone.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Boolean, Integer, LargeBinary, MetaData

from blocks.store import schema
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Column

Kind = Literal["integer", "boolean", "bytes", "text"]
GROWING = frozenset({"events", "event_index", "pruned_events", "chain"})
"""Tables with a row for each event or page. A move that is continued copies only what is new of them."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A table: its columns with their kinds, and its primary key. `numbered`: the database gives its ids."""

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]
    numbered: bool

    @property
    def is_growing(self) -> bool:
        return self.name in GROWING

    def column_list(self) -> str:
        """The columns for a statement."""
        return ", ".join(f'"{name}"' for name in self.columns)

    def key_list(self) -> str:
        """The columns of the primary key for a statement."""
        return ", ".join(f'"{name}"' for name in self.key)


@cache
def tables_of(version: str) -> tuple[TableLayout, ...]:
    """The tables of a schema version: the growing ones first, the others so that each follows those it refers to."""
    metadata = MetaData()
    with tempfile.TemporaryDirectory(prefix="onepassword-source-") as directory:
        engine = open_engine(f"sqlite:///{Path(directory) / 'layout.db'}")
        schema.upgrade(engine, to=version)
        metadata.reflect(engine)
        engine.dispose()
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    layouts = [
        TableLayout(
            str(table.name),
            {str(column.name): _kind(column) for column in table.columns},
            tuple(str(column.name) for column in table.primary_key),
            [column.name for column in table.primary_key] == ["id"] and isinstance(table.c.id.type, Integer),
        )
        for table in tables
    ]
    return tuple(sorted(layouts, key=lambda one: not one.is_growing))


def _kind(column: Column[object]) -> Kind:
    if isinstance(column.type, Boolean):
        return "boolean"
    if isinstance(column.type, LargeBinary):
        return "bytes"
    return "integer" if isinstance(column.type, Integer) else "text"
