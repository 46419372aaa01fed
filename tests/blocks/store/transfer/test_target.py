"""A database that becomes a copy of a store: who may fill it, how far it is, and when it is a store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, text
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.store import schema, sources
from blocks.store.engine import open_engine
from blocks.store.transfer import target
from blocks.store.transfer.target import FIRST_SIGNS, PROGRESS, TableProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

NOT_EMPTY = (
    "The target database is not empty: it holds a store, or tables with the names of a store's tables. Nothing was "
    "changed. Name an empty database, or another directory."
)


@pytest.fixture
def empty(empty_url: str) -> Iterator[Engine]:
    """A database in which there is nothing yet."""
    engine = open_engine(empty_url)
    yield engine
    engine.dispose()


def holds_anything(engine: Engine) -> bool:
    with engine.connect() as connection:
        return target.holds_anything(connection)


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


# What is empty


def test_an_empty_database_holds_nothing(empty: Engine) -> None:
    assert not holds_anything(empty)
    target.require_empty(empty)


def test_a_store_in_which_nothing_has_happened_holds_nothing(engine: Engine) -> None:
    assert not holds_anything(engine)
    target.require_empty(engine)


def test_a_store_with_a_source_is_not_empty(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    with pytest.raises(ThirdPartyConfigError) as raised:
        target.require_empty(engine)
    assert (raised.value.code, str(raised.value)) == ("target", NOT_EMPTY)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sign", FIRST_SIGNS)
def test_a_row_in_any_of_the_first_tables_is_a_sign(engine: Engine, sign: str) -> None:
    sources.save(engine, SOURCE)
    execute(engine, "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'E', 1, 1, '{}')")
    delete(engine, [name for name in FIRST_SIGNS if name != sign])
    assert holds_anything(engine)
    delete(engine, [sign])
    assert not holds_anything(engine)


def delete(engine: Engine, names: list[str]) -> None:
    """Past SQLAlchemy, so that foreign keys are not checked."""
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as connection:
        for name in names:
            connection.execute(f"DELETE FROM {name}")


@pytest.mark.parametrize(("name", "taken"), [("events", True), ("sources", True), ("of_others", False)])
def test_empty_tables_of_others_with_the_names_of_ours_are_in_the_way(empty: Engine, name: str, taken: bool) -> None:
    execute(empty, f"CREATE TABLE {name} (id INTEGER)")
    assert holds_anything(empty) is taken


def test_an_incomplete_copy_is_not_empty(empty: Engine) -> None:
    target.begin(empty, schema.HEAD, "A")
    with pytest.raises(ThirdPartyConfigError, match=r"^The target database is not empty"):
        target.require_empty(empty)


# How far a copy is


def test_a_new_copy_has_empty_tables_that_are_no_store(empty: Engine) -> None:
    assert target.begin(empty, schema.HEAD, "A") == {}
    assert schema.version(empty) == schema.INCOMPLETE
    assert {"events", "sources", PROGRESS} <= tables(empty)


def test_a_copy_of_the_same_store_is_continued_where_it_was(empty: Engine) -> None:
    target.begin(empty, schema.HEAD, "A")
    with empty.begin() as connection:
        target.record(connection, "events", TableProgress(10, [10]))
        target.record(connection, "events", TableProgress(25, [30]))
        target.record(connection, "pruned_events", TableProgress(2, [1, "U"]))
    found = target.begin(empty, schema.HEAD, "A")
    assert found == {"events": TableProgress(25, [30]), "pruned_events": TableProgress(2, [1, "U"])}


def test_an_incomplete_copy_of_another_store_is_refused(empty: Engine) -> None:
    target.begin(empty, schema.HEAD, "A")
    with pytest.raises(ThirdPartyConfigError) as raised:
        target.begin(empty, schema.HEAD, "B")
    assert (raised.value.code, str(raised.value)) == (
        "target",
        (
            "The target holds an incomplete copy of another store. Name an empty database; or empty this one, if you "
            "do not need that copy."
        ),
    )
    assert target.begin(empty, schema.HEAD, "A") == {}


def test_a_copy_into_a_store_is_refused(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    with pytest.raises(ThirdPartyConfigError, match=r"^The target database is not empty"):
        target.begin(engine, schema.HEAD, "A")
    assert schema.version(engine) == schema.HEAD
    assert PROGRESS not in tables(engine)


@pytest.mark.parametrize("version", ["0011", schema.HEAD])
def test_empty_tables_of_any_version_become_those_of_the_copied_store(engine: Engine, version: str) -> None:
    """`up` or `status` may have made them; the views of the newest version are in the way of older tables."""
    target.begin(engine, version, "A")
    assert ("hours" in tables(engine), "hourly_counts" in tables(engine)) == (version == "0011", version != "0011")
    with engine.begin() as connection:
        target.finish(connection, version)
    assert schema.version(engine) == version
    assert PROGRESS not in tables(engine)
    schema.upgrade(engine)
    assert schema.version(engine) == schema.HEAD


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_empty_tables_of_an_earlier_version_lack_views_of_the_newest(empty: Engine) -> None:
    schema.upgrade(empty, to="0011")
    target.begin(empty, schema.HEAD, "A")
    assert {"hours", "hourly_counts"} & tables(empty) == {"hourly_counts"}
