"""The tables of a new store on SQLite, by one script: the migrations, which take 0.1 s, run once in a process.

What they made is read from the database, so a new store is the same. Tests of the migrations use `by_migrations`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blocks.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_by_migrations = schema._migrate
_script: list[tuple[str, tuple[Any, ...]]] = []
"""The statements that make the tables, and the rows that the migrations inserted."""


def share() -> None:
    """Use the script from now on, in this process."""
    schema._migrate = _migrate


@contextmanager
def by_migrations() -> Iterator[None]:
    """Run the migrations for each store."""
    schema._migrate = _by_migrations
    try:
        yield
    finally:
        share()


def _migrate(connection: Connection, found: str | None, to: str) -> None:
    if found is not None or to != schema.HEAD or connection.dialect.name != "sqlite":
        _by_migrations(connection, found, to)
    elif not _script:
        _by_migrations(connection, found, to)
        _script.extend(_read(connection))
    else:
        for statement, values in _script:
            connection.exec_driver_sql(statement, values)


def _read(connection: Connection) -> Iterator[tuple[str, tuple[Any, ...]]]:
    made = list(connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql != '' ORDER BY rowid"))
    virtual = [one.name for one in made if one.sql.startswith("CREATE VIRTUAL")]
    # SQLite makes these tables itself: its own, and those of a virtual table.
    mine = [one for one in made if not one.name.startswith(("sqlite_", *(f"{name}_" for name in virtual)))]
    for one in mine:
        yield one.sql, ()
    for one in (*mine, *(one for one in made if one.name == "sqlite_sequence")):
        if one.type == "table" and one.name not in virtual:
            for row in connection.exec_driver_sql(f'SELECT * FROM "{one.name}"'):
                places = ", ".join("?" * len(row))
                yield f'INSERT INTO "{one.name}" VALUES ({places})', tuple(row)
