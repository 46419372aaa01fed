"""A store of an earlier version from tests/fixtures, with rows in every table; read and copy all rows of a store."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, MetaData, create_engine, text
from support.paths import FIXTURES

from blocks.store import schema
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    Rows = dict[str, list[dict[str, Any]]]

VERSION = "0011"


def unpack(path: Path) -> None:
    """Write the fixture as an SQLite file."""
    path.write_bytes(gzip.decompress((FIXTURES / "store_0011.db.gz").read_bytes()))


def fill(url: str, scratch: Path, *, upgrade: bool = True) -> None:
    """Copy the fixture into an empty database, without the product's code for copies, and upgrade it."""
    if url.startswith("sqlite"):
        unpack(scratch)
        scratch.replace(url.removeprefix("sqlite:///"))
    else:
        _copy_to_postgresql(url, scratch)
    if upgrade:
        engine = open_engine(url)
        schema.upgrade(engine)
        engine.dispose()


def _copy_to_postgresql(url: str, scratch: Path) -> None:
    unpack(scratch)
    kept, engine = create_engine(f"sqlite:///{scratch}"), open_engine(url)
    schema.upgrade(engine, to=VERSION)
    copy(read_all(kept), engine)
    kept.dispose()
    engine.dispose()


def read_all(engine: Engine) -> Rows:
    """The rows of every table but Alembic's, with columns by their names."""
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in metadata.sorted_tables
            if table.name != "alembic_version"
        }


def in_order(rows: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    """Rows sorted in a way that does not depend on the order of columns."""
    return sorted((sorted(row.items()) for row in rows), key=repr)


def copy(rows: Rows, engine: Engine) -> None:
    """Insert rows of the earlier version into PostgreSQL, with the views and sequences of that version."""
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            flags = [column.name for column in table.c if isinstance(column.type, Boolean)]
            if values := rows.get(table.name):
                changed = [row | {name: bool(row[name]) for name in flags} for row in values]
                connection.execute(table.insert(), changed)
                if "id" in table.c and isinstance(values[0]["id"], int):
                    last = max(row["id"] for row in values)
                    connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last})"))
        connection.exec_driver_sql((FIXTURES / "views_0011_postgresql.sql").read_text())
