"""The tables of a schema version: their order, their columns, and which of them the database numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, SmallInteger, String, Text

from blocks.store import schema
from blocks.store.transfer import table_layout
from blocks.store.transfer.table_layout import TableLayout, tables_of

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

TABLES = {table.name: table for table in tables_of(schema.HEAD)}


def test_a_table_has_its_columns_with_their_kinds_and_its_key() -> None:
    assert TABLES["events"] == TableLayout(
        "events",
        {
            "id": "integer",
            "stream_id": "integer",
            "uuid": "text",
            "time_ns": "integer",
            "received_ns": "integer",
            "body": "text",
        },
        ("id",),
        numbered=True,
    )
    assert TABLES["chain"].columns["digest"] == "bytes"
    assert TABLES["fields"].columns == {"name": "text", "enabled": "boolean", "created_ns": "integer"}


@pytest.mark.parametrize(
    ("name", "key", "numbered"),
    [
        ("sources", ("id",), False),
        ("event_index", ("event_id",), False),
        ("pruned_events", ("stream_id", "uuid"), False),
        ("windows", ("id",), True),
    ],
    ids=["an id that is a text", "an id of another table", "two columns", "an id"],
)
def test_the_database_numbers_a_table_whose_key_is_a_number_alone(
    name: str, key: tuple[str, ...], numbered: bool
) -> None:
    assert (TABLES[name].key, TABLES[name].numbered) == (key, numbered)


def test_the_growing_tables_come_first_and_each_other_one_behind_those_it_refers_to() -> None:
    names = list(TABLES)
    assert set(names[:4]) == {"chain", "event_index", "events", "pruned_events"}
    assert [TABLES[name].is_growing for name in names] == [True] * 4 + [False] * (len(names) - 4)
    assert names.index("sources") < names.index("streams")
    assert "alembic_version" not in names


def test_an_earlier_version_has_the_tables_of_its_time() -> None:
    names = {table.name for table in tables_of("0011")}
    assert "hours" in names
    assert not {"hourly_counts", "alembic_version"} & names
    assert tables_of("0011") is tables_of("0011"), "an empty store is made once for each version"


def test_names_are_quoted_for_a_statement() -> None:
    layout = TableLayout("t", {"order": "text", "b": "integer"}, ("b", "order"), numbered=False)
    assert (layout.column_list(), layout.key_list()) == ('"order", "b"', '"b", "order"')


@pytest.mark.parametrize(
    ("column_type", "kind"),
    [
        (Boolean(), "boolean"),
        (LargeBinary(), "bytes"),
        (Integer(), "integer"),
        (BigInteger(), "integer"),
        (SmallInteger(), "integer"),
        (Text(), "text"),
        (String(63), "text"),
        (Float(), "text"),
    ],
    ids=str,
)
def test_each_type_is_of_one_kind(column_type: TypeEngine[object], kind: str) -> None:
    assert table_layout._kind(Column("c", column_type)) == kind
