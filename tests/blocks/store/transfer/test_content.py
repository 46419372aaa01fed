"""What a store holds at one moment, and the ids that no row may get again, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.chains import fill
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import schema
from blocks.store.transfer import content
from blocks.store.transfer.content import StreamContent
from blocks.store.transfer.table_layout import tables_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from blocks.store.sources import SourceRecord

TABLES = tables_of(schema.HEAD)
NUMBERED = {table.name for table in TABLES if table.numbered}


def test_each_stream_is_there_with_its_counts_that_of_a_deleted_source_too(
    engine: Engine, source: SourceRecord
) -> None:
    fill(engine, (2, 1))
    with engine.begin() as connection:
        connection.execute(text("UPDATE streams SET pruned = 7 WHERE api = 'audit'"))
        connection.execute(text("UPDATE sources SET deleted_ns = 1"))
        found = content.streams(connection)
    assert found == [StreamContent("1Pass", SOURCE.id, api, 3, 7 if api is Api.AUDIT else 0, 0) for api in Api]


def test_the_newest_links_of_each_source_are_its_checkpoint(engine: Engine, source: SourceRecord) -> None:
    with engine.connect() as connection:
        (before,) = content.chain_heads(connection)
    assert {link.number for link in before.links.values()} == {0}
    fill(engine, (2, 1))
    with engine.connect() as connection:
        (found,) = content.chain_heads(connection)
        digests = {row.api: row.link_digest for row in connection.execute(text("SELECT api, link_digest FROM streams"))}
    assert (found.source, found.source_id) == ("1Pass", SOURCE.id)
    assert {api: link.digest for api, link in found.links.items()} == {
        api: bytes(digest).hex() for api, digest in digests.items()
    }


def test_an_empty_store_holds_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        assert (content.streams(connection), content.chain_heads(connection)) == ([], [])
        assert set(content.row_counts(connection, TABLES).values()) == {0}
        assert content.sequences(connection, TABLES) == dict.fromkeys(NUMBERED, 0)


def test_the_rows_of_each_table_are_counted(engine: Engine, source: SourceRecord) -> None:
    fill(engine, (2, 1))
    with engine.connect() as connection:
        counts = content.row_counts(connection, TABLES)
    assert (counts["sources"], counts["streams"], counts["events"], counts["chain"]) == (1, 3, 9, 6)
    assert list(counts) == [table.name for table in TABLES]


# Ids


def insert_event(connection: Connection, uuid: str, number: int | None = None) -> int:
    column, value = ("id, ", f"{number}, ") if number else ("", "")
    connection.execute(
        text(
            f"INSERT INTO events ({column}stream_id, uuid, time_ns, received_ns, body) "
            f"VALUES ({value}1, '{uuid}', 1, 1, '{{}}')"
        )
    )
    return int(connection.execute(text("SELECT max(id) FROM events")).scalar_one())


def last_ids(connection: Connection) -> dict[str, int]:
    return {name: number for name, number in content.sequences(connection, TABLES).items() if number}


def test_the_last_id_is_that_of_a_removed_row_too(engine: Engine) -> None:
    with engine.begin() as connection:
        for number in range(3):
            insert_event(connection, f"E{number}")
        connection.execute(text("DELETE FROM events WHERE id > 1"))
        assert last_ids(connection) == {"events": 3}


def test_an_id_that_the_database_did_not_give_counts_too(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_event(connection, "E", 50)
        assert last_ids(connection) == {"events": 50}


@pytest.mark.parametrize("number", [1, 9])
def test_the_next_id_follows_the_last_one_that_was_given(engine: Engine, number: int) -> None:
    with engine.begin() as connection:
        content.set_sequences(connection, {"events": number, "audit_log": 0})
        assert insert_event(connection, "E") == number + 1
        connection.execute(text("DELETE FROM events"))
        content.set_sequences(connection, {"events": 0})
        assert insert_event(connection, "F") == number + 2, "0 sets nothing back"


def test_a_sequence_is_set_a_second_time(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_event(connection, "E")
        content.set_sequences(connection, {"events": 20})
        content.set_sequences(connection, {"events": 30})
        assert insert_event(connection, "F") == 31


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_sqlite_never_sets_a_sequence_back_and_keeps_one_row_of_it(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_event(connection, "E", 50)
        connection.execute(text("DELETE FROM events"))
        content.set_sequences(connection, {"events": 20})
        assert insert_event(connection, "F") == 51
        rows = connection.execute(text("SELECT count(*) FROM sqlite_sequence WHERE name = 'events'")).scalar()
    assert rows == 1


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_table_whose_ids_follow_the_highest_one_has_no_sequence(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE plain (id INTEGER PRIMARY KEY)"))
        content.set_sequences(connection, {"plain": 9})
        assert connection.execute(text("SELECT count(*) FROM sqlite_sequence WHERE name = 'plain'")).scalar() == 0


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_sequence_that_gave_no_id_yet_has_given_none(engine: Engine) -> None:
    """PostgreSQL calls its last value 1 then, as after the first id."""
    with engine.begin() as connection:
        insert_event(connection, "E")
        assert last_ids(connection) == {"events": 1}
