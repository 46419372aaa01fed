"""Rows that may be there already, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, UniqueConstraint, select

from blocks.store.on_conflict import InsertNew, Upsert, insert_new

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

TABLE = Table(
    "rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, default=" RETURNING "),
    Column("group", Text),  # a word that SQL reserves
    UniqueConstraint("name"),
)
FIRST = {"id": 1, "day": 2, "name": "a", "group": "x"}


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as opened:
        TABLE.create(opened)
        yield opened


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(TABLE).order_by(TABLE.c.id))]


@pytest.mark.parametrize("other", [{"day": 2, "id": 1, "name": "b"}, {"day": 9, "id": 9, "name": "a"}])
def test_a_row_with_the_value_of_any_unique_key_is_kept(connection: Connection, other: dict[str, Any]) -> None:
    assert insert_new(connection, TABLE, FIRST)
    assert not insert_new(connection, TABLE, other)
    assert stored(connection) == [(1, 2, "a", "x")]


def test_several_rows_at_once_are_inserted_but_those_that_are_there(connection: Connection) -> None:
    insert_new(connection, TABLE, FIRST)
    connection.execute(InsertNew(TABLE).values(day=2), [{"id": 1, "name": "b"}, {"id": 2, "name": "c"}])
    assert stored(connection) == [(1, 2, "a", "x"), (2, 2, "c", None)]


def test_a_missing_value_is_an_error_and_no_row_that_is_there(connection: Connection) -> None:
    with pytest.raises(Exception, match=r"(?i)not.null"):
        insert_new(connection, TABLE, {"id": 1, "day": 2, "name": None})


def test_a_default_that_looks_like_sql_is_a_value(connection: Connection) -> None:
    assert insert_new(connection, TABLE, {"id": 1, "day": 2})
    assert stored(connection) == [(1, 2, " RETURNING ", None)]


def test_an_upsert_replaces_the_row_with_its_primary_key_and_no_other(connection: Connection) -> None:
    rows = [FIRST, {"id": 2, "day": 2, "name": "b", "group": None}]
    connection.execute(Upsert(TABLE), rows)
    connection.execute(Upsert(TABLE).values(**FIRST | {"name": "c", "group": None}))
    assert stored(connection) == [(1, 2, "c", None), (2, 2, "b", None)]


def test_the_sql_is_compiled_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def statements(number: int) -> None:
        insert_new(connection, TABLE, {"id": number, "day": 2, "name": str(number)})
        connection.execute(Upsert(TABLE).values(id=number, day=2, name=str(-number), group=None))

    statements(1)
    compiled: list[object] = []
    monkeypatch.setattr(connection.dialect, "statement_compiler", lambda *_a, **_k: compiled.append(1))
    statements(2)
    assert not compiled
    assert stored(connection) == [(1, 2, "-1", None), (2, 2, "-2", None)]


def test_the_two_are_cached_as_two_statements(connection: Connection) -> None:
    values: dict[str, Any] = FIRST | {"group": "y"}
    insert_new(connection, TABLE, FIRST)
    connection.execute(InsertNew(TABLE).values(**values))
    connection.execute(Upsert(TABLE).values(**values))
    assert stored(connection) == [(1, 2, "a", "y")]
