"""Insert a row unless it exists, safely when several processes do so at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection


def insert_new(connection: Connection, table: Any, row: dict[str, Any]) -> bool:
    """Insert a row; returns False if a row with the same value of any unique key exists.

    The conflict target is any key, because PostgreSQL may detect two concurrent rows by either key first.
    """
    added = dialect_of(connection).insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(added.returning(next(iter(table.primary_key)))).first() is not None


def dialect_of(connection: Connection) -> Any:
    """SQLAlchemy's module for the database's dialect, whose `insert` supports ON CONFLICT.

    It is imported by name: PostgreSQL's module imports all its drivers, 0.1 s that a store on SQLite does not need.
    """
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
