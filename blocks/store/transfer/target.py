"""A store that is being filled with the content of another one. Until it is complete, every other command refuses it.

Its schema version is set to INCOMPLETE, and the table `transfer_progress` says which store it becomes a copy of and how
far it is. So a copy that was killed can be continued, and is never taken for a store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from blocks.errors import ThirdPartyConfigError
from blocks.store import schema
from blocks.store.engine import reading, store_errors, writing
from blocks.store.schema import INCOMPLETE
from blocks.store.transfer.table_layout import tables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

PROGRESS = "transfer_progress"
_CREATE = f"CREATE TABLE {PROGRESS} (name VARCHAR(63) PRIMARY KEY, copied BIGINT NOT NULL, detail TEXT NOT NULL)"
FIRST_SIGNS = ("sources", "events", "audit_log", "streams")
"""A store in which anything has happened has rows in one of these tables."""


@dataclass(frozen=True, slots=True)
class TableProgress:
    """How many rows of a table were copied, and the key of the last one."""

    copied: int
    last_key: list[Any]


def begin(engine: Engine, version: str, identity: str) -> dict[str, TableProgress]:
    """Make the target ready for the content of the store `identity`, at a schema version.

    Returns the progress of a copy of the same store that was interrupted; empty for a new one. Raises
    ThirdPartyConfigError if the target holds a store, or an incomplete copy of another one.
    """
    found = _identity(engine)
    if found == identity:
        return _progress(engine)
    if found is not None:
        raise ThirdPartyConfigError(
            "The target holds an incomplete copy of another store.",
            hint="Name an empty database; or empty this one, if you do not need that copy.",
            code="target",
        )
    require_empty(engine)
    _create_tables(engine, version)
    with writing(engine) as connection:
        connection.exec_driver_sql(_CREATE)
        _save(connection, "", 0, {"identity": identity, "version": version})
        _set_version(connection, INCOMPLETE)
    return {}


def record(connection: Connection, table: str, progress: TableProgress) -> None:
    """Record the progress of a table, in the transaction that has written its rows."""
    connection.exec_driver_sql(f"DELETE FROM {PROGRESS} WHERE name = {_mark(connection)}", (table,))
    _save(connection, table, progress.copied, progress.last_key)


def finish(connection: Connection, version: str) -> None:
    """Make the target a store that every command uses, in the transaction with the last changes."""
    connection.exec_driver_sql(f"DROP TABLE {PROGRESS}")
    _set_version(connection, version)


def require_empty(engine: Engine) -> None:
    """Raises ThirdPartyConfigError if the database holds a store with anything in it, or tables of these names."""
    with store_errors(), reading(engine).connect() as connection:
        if holds_anything(connection):
            raise ThirdPartyConfigError(
                "The target database is not empty: it holds a store, or tables with the names of a store's tables. "
                "Nothing was changed.",
                hint="Name an empty database, or another directory.",
                code="target",
            )


def holds_anything(connection: Connection) -> bool:
    """True if the database holds a store in which anything has happened, or tables of the same names."""
    names = set(inspect(connection).get_table_names())
    if PROGRESS in names:
        return True
    found = [name for name in FIRST_SIGNS if name in names]
    if "alembic_version" not in names:
        return bool(found)
    return any(connection.exec_driver_sql(f'SELECT 1 FROM "{name}" LIMIT 1').first() for name in found)


def _create_tables(engine: Engine, version: str) -> None:
    """The empty tables of a version. Those of another version, empty too, are replaced."""
    found = schema.version(engine)
    if found not in {None, version}:
        _drop_tables(engine, found or "")
    schema.upgrade(engine, to=version)


def _drop_tables(engine: Engine, version: str) -> None:
    with writing(engine) as connection:
        views = inspect(connection).get_view_names()
        for view in schema.view_names():
            if view in views:
                connection.exec_driver_sql(f"DROP VIEW {view}")
        for table in reversed(tables_of(version)):
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{table.name}"')
        connection.exec_driver_sql("DROP TABLE alembic_version")


def _identity(engine: Engine) -> str | None:
    with store_errors(), reading(engine).connect() as connection:
        if not inspect(connection).has_table(PROGRESS):
            return None
        row = connection.exec_driver_sql(f"SELECT detail FROM {PROGRESS} WHERE name = ''").scalar_one()
        return str(json.loads(row)["identity"])


def _progress(engine: Engine) -> dict[str, TableProgress]:
    with store_errors(), reading(engine).connect() as connection:
        rows: Sequence[Any] = connection.exec_driver_sql(f"SELECT name, copied, detail FROM {PROGRESS}").all()
    return {row.name: TableProgress(row.copied, json.loads(row.detail)) for row in rows if row.name}


def _save(connection: Connection, name: str, copied: int, detail: object) -> None:
    mark = _mark(connection)
    statement = f"INSERT INTO {PROGRESS} (name, copied, detail) VALUES ({mark}, {mark}, {mark})"
    connection.exec_driver_sql(statement, (name, copied, json.dumps(detail)))


def _set_version(connection: Connection, version: str) -> None:
    connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = {_mark(connection)}", (version,))


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"
