"""Insert a row unless it is there: the form in which several processes may do so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Connection


def insert_new(connection: Connection, table: Any, row: dict[str, Any], *key: str) -> bool:
    """Whether the row was inserted. `key` names the columns by which it may be there: the primary key, if left out.

    Another row that stands in the way otherwise is an error, never passed over.
    """
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    columns = key or tuple(column.name for column in table.primary_key)
    added = dialect.insert(table).values(row).on_conflict_do_nothing(index_elements=columns)
    return connection.execute(added.returning(next(iter(table.primary_key)))).first() is not None
