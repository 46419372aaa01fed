"""All tables of a store are copied, in parts that are committed; a copy goes on only where the store is the same."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.chains import fill
from support.kept_store import in_order, read_all
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.store import audit_log, schema, sources
from blocks.store.engine import open_engine
from blocks.store.transfer import copying, rows, target
from blocks.store.transfer.table_layout import tables_of
from blocks.store.transfer.target import TableProgress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

TABLES = tables_of(schema.HEAD)
GROWING = {table.name for table in TABLES if table.is_growing}


@pytest.fixture
def store(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Engine]:
    """A store with nine events of audit, of sign-ins and of items each, in two links."""
    shutil.copy(migrated_sqlite, tmp_path / "store.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'store.db'}")
    sources.save(engine, SOURCE)
    fill(engine, (5, 4))
    yield engine
    engine.dispose()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Engine]:
    """A database that was begun as a copy."""
    engine = open_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    target.begin(engine, schema.HEAD, "A")
    yield engine
    engine.dispose()


@pytest.fixture
def _parts_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "COMMIT", 10)
    monkeypatch.setattr(rows, "FETCH", 4)


def copy_tables(store: Engine, copy: Engine) -> list[int]:
    """Copy, or continue. Returns the numbers of rows that were reported."""
    reported: list[int] = []
    with store.connect() as connection:
        copying.copy_tables(connection, copy, TABLES, target.begin(copy, schema.HEAD, "A"), reported.append)
    return reported


def contents(engine: Engine) -> dict[str, object]:
    found = read_all(engine)
    found.pop(target.PROGRESS, None)
    return {name: in_order(some) for name, some in found.items()}


def last_id(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT max(id) FROM events")).scalar_one())


def progress_of(copy: Engine, name: str = "events") -> TableProgress | None:
    return target.begin(copy, schema.HEAD, "A").get(name)


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


# Which store it is


def test_the_first_audit_record_identifies_a_store(store: Engine) -> None:
    with store.connect() as connection:
        found = copying.identity(connection)
        (time_ns,) = connection.execute(text("SELECT time_ns FROM audit_log")).one()
    assert found == f"1 {time_ns} {audit_log.actor()} {SOURCE.id}"
    sources.save(store, SOURCE)
    audit_log.append(store, "verify", "", "")
    with store.connect() as connection:
        assert copying.identity(connection) == found


def test_a_store_without_a_record_is_empty(copy: Engine) -> None:
    with copy.connect() as connection:
        assert copying.identity(connection) == "empty"


# Copies


@pytest.mark.parametrize("parts", [False, True])
def test_every_row_is_copied_and_reported(
    store: Engine, copy: Engine, parts: bool, request: pytest.FixtureRequest
) -> None:
    if parts:
        request.getfixturevalue("_parts_of_ten")
    reported = copy_tables(store, copy)
    assert contents(copy) == contents(store)
    assert sum(reported) == sum(len(list(found)) for found in read_all(store).values())


@pytest.mark.usefixtures("_parts_of_ten")
def test_a_part_ends_with_the_batch_that_fills_it(store: Engine, copy: Engine) -> None:
    """27 events in batches of 4: 12, 12 and 3."""
    reported = copy_tables(store, copy)
    assert [number for number in reported if number in {12, 3}][:3] == [12, 12, 3]
    assert progress_of(copy) == TableProgress(27, [last_id(store)])
    assert progress_of(copy, "chain") == TableProgress(6, [3, 2])


def test_the_tables_that_change_are_copied_again_each_time(store: Engine, copy: Engine) -> None:
    copy_tables(store, copy)
    execute(store, "UPDATE sources SET description = 'later'", "DELETE FROM audit_log")
    copy_tables(store, copy)
    assert contents(copy) == contents(store)


def test_the_next_id_follows_those_that_were_given(store: Engine, copy: Engine) -> None:
    given = last_id(store)
    execute(store, "DELETE FROM events WHERE id > 20")
    copy_tables(store, copy)
    insert = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'X', 1, 1, '{}')"
    execute(copy, insert)
    assert last_id(copy) == given + 1


# Copies that are continued


def copy_part(store: Engine, copy: Engine) -> None:
    """As a copy that was killed after its first part of the events."""
    events = next(table for table in TABLES if table.name == "events")
    with store.connect() as connection, copy.begin() as to:
        rows.write(to, events, [next(rows.read(connection, events))[:8]])
        target.record(to, "events", TableProgress(8, [8]))


@pytest.mark.usefixtures("_parts_of_ten")
def test_a_copy_goes_on_behind_its_last_row(store: Engine, copy: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FETCH", 100)
    copy_part(store, copy)
    monkeypatch.setattr(rows, "FETCH", 4)
    reported = copy_tables(store, copy)
    assert [number for number in reported if number in {8, 12, 7}][:3] == [8, 12, 7]
    assert contents(copy) == contents(store)
    assert progress_of(copy) == TableProgress(27, [last_id(store)])


@pytest.mark.parametrize(
    "changed",
    [
        "DELETE FROM events WHERE id = 3",
        "INSERT INTO events (id, stream_id, uuid, time_ns, received_ns, body) VALUES (0, 1, 'X', 1, 1, '{}')",
    ],
    ids=["a row was removed", "a row was added before"],
)
def test_a_table_that_differs_is_copied_from_its_beginning(store: Engine, copy: Engine, changed: str) -> None:
    copy_part(store, copy)
    execute(store, changed)
    copy_tables(store, copy)
    assert contents(copy) == contents(store)


def test_a_copy_that_lost_rows_is_copied_from_its_beginning(store: Engine, copy: Engine) -> None:
    copy_part(store, copy)
    execute(copy, "DELETE FROM events WHERE id = 3")
    copy_tables(store, copy)
    assert contents(copy) == contents(store)


def test_a_table_that_was_cleared_is_begun_again(store: Engine, copy: Engine) -> None:
    with copy.begin() as connection:
        target.record(connection, "events", TableProgress(0, []))
    copy_tables(store, copy)
    assert contents(copy) == contents(store)
    execute(store, "DELETE FROM events")
    copy_tables(store, copy)
    assert progress_of(copy) == TableProgress(0, [])
    assert contents(copy) == contents(store)


# The comparison


def test_equal_tables_are_counted(store: Engine, copy: Engine) -> None:
    copy_tables(store, copy)
    with store.connect() as connection:
        counts = copying.require_equal(connection, copy, TABLES)
    assert (counts["events"], counts["chain"], counts["streams"]) == (27, 6, 3)


def test_a_table_that_lacks_rows_is_an_error(store: Engine, copy: Engine) -> None:
    copy_tables(store, copy)
    execute(copy, "DELETE FROM events WHERE id > 5")
    with store.connect() as connection, pytest.raises(FirstPartyGenericError) as raised:
        copying.require_equal(connection, copy, TABLES)
    assert (raised.value.code, str(raised.value)) == (
        "transfer",
        (
            "The copy of the table events has 5 rows instead of 27. The target is not used. Empty the target database "
            "and start again. The store that is copied is not affected."
        ),
    )


def test_what_grows_is_what_a_continued_copy_keeps() -> None:
    assert {"events", "event_index", "pruned_events", "chain"} == GROWING
