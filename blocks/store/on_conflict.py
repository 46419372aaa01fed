"""Insert a row that may be there already: keep the one that is there, or replace it.

SQLAlchemy caches the SQL of these statements. Version 2.0 compiles its own `on_conflict_do_nothing` and
`on_conflict_do_update` again each time, which takes longer than the insert; 2.1 caches them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Insert
from sqlalchemy.ext.compiler import compiles

if TYPE_CHECKING:
    from sqlalchemy import Connection


class InsertNew(Insert):
    """An INSERT that skips a row if one with the same value of any unique key exists.

    The conflict target is any key, because PostgreSQL may detect two concurrent rows by either key first.
    """

    inherit_cache = True


class Upsert(Insert):
    """An INSERT that replaces the row with the same primary key; the other columns are replaced, all of them."""

    inherit_cache = True


def insert_new(connection: Connection, table: Any, row: dict[str, Any]) -> bool:
    """Insert a row; returns False if a row with the same value of any unique key exists."""
    added = InsertNew(table).values(row).returning(next(iter(table.primary_key)))
    return connection.execute(added).first() is not None


@compiles(InsertNew)
def _compile_insert_new(statement: InsertNew, compiler: Any, **options: Any) -> str:
    return _with_clause(compiler.visit_insert(statement, **options), "DO NOTHING")


@compiles(Upsert)
def _compile_upsert(statement: Upsert, compiler: Any, **options: Any) -> str:
    table, quote = statement.table, compiler.preparer.quote
    key = ", ".join(quote(column.name) for column in table.primary_key)
    others = [quote(column.name) for column in table.c if not column.primary_key]
    replaced = ", ".join(f"{name} = excluded.{name}" for name in others)
    return _with_clause(compiler.visit_insert(statement, **options), f"({key}) DO UPDATE SET {replaced}")


def _with_clause(insert: str, action: str) -> str:
    """The statement with ON CONFLICT before RETURNING. Its values are parameters: no text in it looks like SQL."""
    values, returning, columns = insert.partition(" RETURNING ")
    return f"{values} ON CONFLICT {action}{returning}{columns}"
