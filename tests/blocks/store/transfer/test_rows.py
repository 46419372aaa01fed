"""Rows are read in the order of their key and written as they are, by both drivers."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest

from blocks.errors import FirstPartyGenericError
from blocks.store.engine import open_engine
from blocks.store.transfer import rows
from blocks.store.transfer.table_layout import TableLayout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

LAYOUT = TableLayout("t", {"b": "text", "a": "integer", "c": "text"}, ("a", "b"), numbered=False)
STORED = [("x", 1, None), ("y", 1, "\t"), ("a", 2, ""), ("b", 3, "é")]


@pytest.fixture
def opened(empty_url: str) -> Iterator[Engine]:
    """A database with a table of four rows, which are not in the order of its key."""
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR(9) NOT NULL, c TEXT)")
        for letter, number, other in reversed(STORED):
            mark = "?" if engine.dialect.name == "sqlite" else "%s"
            statement = f"INSERT INTO t (b, a, c) VALUES ({mark}, {mark}, {mark})"
            connection.exec_driver_sql(statement, (letter, number, other))
    yield engine
    engine.dispose()


@pytest.fixture
def connection(opened: Engine) -> Iterator[Connection]:
    with opened.connect() as made:
        yield made


def stored(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql("SELECT b, a, c FROM t ORDER BY a, b")]


@pytest.mark.parametrize(("fetch", "sizes"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4]), (2000, [4])])
def test_rows_come_in_the_order_of_their_key_and_a_few_at_a_time(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, fetch: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(rows, "FETCH", fetch)
    batches = list(rows.read(connection, LAYOUT))
    assert [row for batch in batches for row in batch] == STORED
    assert [len(batch) for batch in batches] == sizes


@pytest.mark.parametrize(
    ("after", "left"), [([1, "x"], 3), ([1, "xx"], 3), ([1, "z"], 2), ([0, "z"], 4), ([3, "b"], 0), ([], 4), (None, 4)]
)
def test_rows_behind_a_key_are_those_that_follow_it(
    connection: Connection, after: list[object] | None, left: int
) -> None:
    found = [row for batch in rows.read(connection, LAYOUT, after) for row in batch]
    assert found == STORED[4 - left :]


@pytest.mark.parametrize(
    ("last", "number"), [([1, "x"], 1), ([1, "y"], 2), ([2, "z"], 3), ([0, "z"], 0), ([9, "a"], 4)]
)
def test_rows_up_to_a_key_are_counted_with_it(connection: Connection, last: list[object], number: int) -> None:
    assert rows.count_to(connection, LAYOUT, last) == number


def test_rows_are_written_and_counted(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM t")
    assert rows.write(connection, LAYOUT, iter([STORED[:3], STORED[3:]])) == 4
    assert stored(connection) == STORED
    assert rows.write(connection, LAYOUT, []) == 0
    connection.rollback()
    assert stored(connection) == STORED, "all in the transaction of the caller"


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_rows_in_the_text_format_are_written_as_they_come(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM t")
    rows.write_text(connection, LAYOUT, [b"x\t1\t\\N\ny\t1\t\\t\na\t2", b"\t\nb\t3\t\xc3\xa9\n"])
    assert stored(connection) == STORED
    rows.write_text(connection, LAYOUT, [])
    assert len(stored(connection)) == 4


def test_a_row_that_the_database_refuses_is_an_error_that_quotes_no_row(connection: Connection) -> None:
    with pytest.raises(FirstPartyGenericError, match=r"^A database refused a row or did not answer: ") as raised:
        rows.write(connection, LAYOUT, [[("secret", None, "secret")]])
    assert raised.value.code == "transfer"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.OperationalError("database is locked"), "database is locked."),
        (psycopg.OperationalError("The server is gone.\nDETAIL: row (1, secret)"), "The server is gone."),
        (psycopg.OperationalError("\n"), "OperationalError."),
        (sqlite3.DatabaseError(), "DatabaseError."),
    ],
    ids=["SQLite", "PostgreSQL with a row", "an empty line", "nothing"],
)
def test_the_errors_of_both_drivers_are_one_sentence(error: Exception, words: str) -> None:
    with pytest.raises(FirstPartyGenericError) as raised, rows.driver_errors():
        raise error
    assert str(raised.value) == (
        f"A database refused a row or did not answer: {words} The store that is copied is not affected. Remove the "
        "cause, and run the command again."
    )
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_another_exception_stays_as_it_is() -> None:
    with pytest.raises(KeyError), rows.driver_errors():
        raise KeyError
