"""Insert a row unless it is there: the form in which several processes may do so at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection


def insert_new(connection: Connection, table: Any, row: dict[str, Any]) -> bool:
    """Whether the row was inserted: it was not where one with any of its unique keys is there.

    Any of them, since PostgreSQL may meet two rows that come at once at either key first.
    """
    added = dialect_of(connection).insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(added.returning(next(iter(table.primary_key)))).first() is not None


def dialect_of(connection: Connection) -> Any:
    """SQLAlchemy's module of the database's dialect, whose `insert` knows ON CONFLICT.

    Not both by name: that of PostgreSQL imports all of its drivers, 0.1 s that a store on SQLite does not need.
    """
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
