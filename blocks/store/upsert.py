"""Insert a row unless it is there: the form in which several processes may do so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection


def insert_new(connection: Connection, table: Any, row: dict[str, Any]) -> bool:
    """Whether the row was inserted: it was not where one with any of its unique keys is there.

    Any of them, since PostgreSQL may meet two rows that come at once at either key first.
    """
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    added = dialect.insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(added.returning(next(iter(table.primary_key)))).first() is not None
