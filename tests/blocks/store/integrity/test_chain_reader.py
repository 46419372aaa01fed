"""Links and the events in their ranges, read in parts from rows that are written by hand."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from blocks.events_api.models import Api
from blocks.store import streams
from blocks.store.integrity import chain_reader
from blocks.store.integrity.chain_reader import (
    LAST,
    BodyRow,
    ChainEvents,
    ChainItem,
    LinkEvents,
    StoredLink,
    explain_mismatch,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from blocks.store.sources import SourceRecord

LINK = StoredLink(1, 1, 3, 2, "v2", 5, b"d")
SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
INSERT = {
    "events": "INSERT INTO events (id, stream_id, uuid, time_ns, received_ns, body) "
    "VALUES (:id, :stream, :uuid, :time_ns, 5, :content)",
    "pruned_events": "INSERT INTO pruned_events (event_id, stream_id, uuid, time_ns, received_ns, digest) "
    "VALUES (:id, :stream, :uuid, :time_ns, 5, :content)",
    "chain": "INSERT INTO chain (stream_id, number, first_id, last_id, events, api_version, committed_ns, digest) "
    "VALUES (:stream, :id, :first, :last, 2, 'v2', 5, :content)",
}


def insert(connection: Connection, table: str, stream_id: int, number: int, content: object, **values: int) -> None:
    row = {"id": number, "stream": stream_id, "uuid": f"E{number}", "time_ns": number * 10, "content": content}
    connection.execute(text(INSERT[table]), row | values)


def digest(number: int) -> bytes:
    return sha256(f"body {number}".encode()).digest()


def item(number: int, *, pruned: bool = False, received_ns: int = 5) -> ChainItem:
    return ChainItem(number, f"E{number}", number * 10, received_ns, digest(number), pruned)


@pytest.fixture
def stream_id(engine: Engine, source: SourceRecord) -> int:
    """A stream with the events 1, 2, 5, 6, 7 and 9, of which 2, 6 and 7 are pruned, around events of another stream."""
    own, other, *_ = streams.of_source(engine, source.id, tuple(Api))
    with engine.begin() as connection:
        for number in (1, 5, 9):
            insert(connection, "events", own.id, number, f"body {number}")
        for number in (2, 6, 7):
            insert(connection, "pruned_events", own.id, number, digest(number))
        for number in (3, 4):
            insert(connection, "events", other.id, number, "of another stream")
    return own.id


# The events of a stream


@pytest.mark.parametrize("batch", [1, 2, 3, 2000])
def test_events_and_what_remains_of_pruned_ones_come_in_the_order_of_their_ids(
    engine: Engine, stream_id: int, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(chain_reader, "BATCH", batch)
    counted: list[int] = []
    with engine.connect() as connection:
        read = ChainEvents(connection, stream_id, 0, counted.append).until(LAST)
    assert read.items == [item(1), item(2, pruned=True), item(5), item(6, pruned=True), item(7, pruned=True), item(9)]
    assert (read.count, read.pruned, read.first_id, read.last_id) == (6, 3, 1, 9)
    assert sum(counted) == 6


def test_events_are_taken_up_to_an_id_once_and_from_behind_one(engine: Engine, stream_id: int) -> None:
    with engine.connect() as connection:
        events = ChainEvents(connection, stream_id, 1, lambda _: None)
        assert [one.id for one in events.until(1).items] == []
        assert [one.id for one in events.until(5).items] == [2, 5]
        assert [one.id for one in events.until(8).items] == [6, 7]
        assert [one.id for one in events.until(LAST).items] == [9]
        assert events.until(LAST) == LinkEvents()


UNREADABLE = LINK._replace(first_id=2, digest="text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("link", "following", "taken"),
    [
        (LINK._replace(last_id=5), None, [1, 2, 5]),
        (LINK._replace(last_id=0), None, []),
        (LINK._replace(last_id=9, events=2), LINK._replace(first_id=5), [1, 2]),
        (LINK._replace(last_id=9, events=3), LINK._replace(first_id=5), [1, 2, 5]),
        (LINK._replace(last_id=9, events=1), LINK._replace(first_id=5), [1, 2]),
        (LINK._replace(last_id=9, events=0), LINK._replace(first_id=1), []),
        (LINK._replace(last_id=9, events=0), UNREADABLE, [1, 2, 5, 6, 7, 9]),
    ],
    ids=["its range", "none", "up to the next", "as it counts", "before the next", "none of the next", "unreadable"],
)
def test_a_link_has_the_events_of_its_range_and_few_of_the_next(
    engine: Engine, stream_id: int, link: StoredLink, following: StoredLink | None, taken: list[int]
) -> None:
    with engine.connect() as connection:
        events = ChainEvents(connection, stream_id, 0, lambda _: None)
        assert [one.id for one in events.of(link, following).items] == taken
        rest = [number for number in (1, 2, 5, 6, 7, 9) if number not in taken]
        assert [one.id for one in events.until(LAST).items] == rest


def test_only_the_first_events_of_a_link_are_held_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_reader, "LARGEST", 2)
    taken = LinkEvents()
    for number in (4, 5, 7):
        taken.add(item(number, pruned=number == 7, received_ns=number))
    assert [one.id for one in taken.items] == [4, 5]
    assert (taken.count, taken.pruned, taken.first_id, taken.last_id) == (3, 1, 4, 7)
    assert [taken.received(ns) for ns in (4, 7, 9)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("number", "words", "clause"),
    [
        (0, "0 events", "0 events that no link covers stand"),
        (1, "1 event", "1 event that no link covers stands"),
        (1000, "1,000 events", "1,000 events that no link covers stand"),
    ],
)
def test_a_number_of_events_in_words(number: int, words: str, clause: str) -> None:
    assert chain_reader.events_of(number) == words
    assert LinkEvents(count=number).words == clause


# Links


@pytest.mark.parametrize("batch", [1, 2, 2000])
def test_links_come_in_the_order_of_their_numbers(
    engine: Engine, stream_id: int, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(chain_reader, "BATCH", batch)
    with engine.begin() as connection:
        for number in (2, 1, 3):
            insert(connection, "chain", stream_id, number, b"d", first=number * 10, last=number * 10 + 5)
        insert(connection, "chain", stream_id + 1, 4, b"d", first=1, last=2)
        found = list(chain_reader.links(connection, stream_id))
    assert found == [StoredLink(n, n * 10, n * 10 + 5, 2, "v2", 5, b"d") for n in (1, 2, 3)]


def test_a_link_with_the_type_of_each_column_is_readable() -> None:
    assert LINK.readable


@pytest.mark.parametrize(
    "changed",
    [
        {"number": "1"},
        {"first_id": None},
        {"last_id": 3.0},
        {"events": True},
        {"committed_ns": b"5"},
        {"digest": "d"},
        {"api_version": b"v2"},
        {"api_version": "v2\0"},
    ],
    ids=str,
)
def test_a_link_with_another_type_in_a_column_is_not_readable(changed: dict[str, Any]) -> None:
    assert not LINK._replace(**changed).readable


@SQLITE
def test_text_that_is_not_utf8_is_read_with_surrogates(engine: Engine, stream_id: int) -> None:
    with engine.begin() as connection:
        insert(connection, "chain", stream_id, 1, b"d", first=1, last=2)
        connection.execute(text("UPDATE chain SET api_version = CAST(x'ff76' AS TEXT)"))
        connection.execute(text("UPDATE events SET uuid = CAST(x'ff45' AS TEXT) WHERE id = 1"))
        (link,) = chain_reader.links(connection, stream_id)
        first, *_ = ChainEvents(connection, stream_id, 0, lambda _: None).until(1).items
    assert (link.api_version, first.uuid) == ("\udcffv", "\udcffE")


# Bodies


@pytest.mark.parametrize(("first", "last", "uuids"), [(1, 5, ["E1", "E5"]), (2, 4, []), (-LAST - 1, LAST, "all")])
def test_the_bodies_of_a_link_are_those_that_are_left_in_its_range(
    engine: Engine, stream_id: int, first: int, last: int, uuids: Any
) -> None:
    with engine.connect() as connection:
        rows = chain_reader.bodies(connection, stream_id, LINK._replace(first_id=first, last_id=last))
    numbers = (1, 5, 9) if uuids == "all" else [int(uuid[1:]) for uuid in uuids]
    assert [(row.uuid, row.time_ns) for row in rows] == [(f"E{n}", n * 10) for n in numbers]
    assert [row.body if isinstance(row.body, str) else row.body.decode() for row in rows] == [
        f"body {n}" for n in numbers
    ]


def row(uuid: str, seconds: int, *, says: tuple[str, int] | None = None) -> BodyRow:
    """A row whose body says the same, or something else."""
    said_uuid, said_seconds = says or (uuid, seconds)
    body = f'{{"uuid": "{said_uuid}", "timestamp": "1970-01-01T00:00:0{said_seconds}Z"}}'
    return BodyRow(uuid, seconds * 10**9, body)


def test_rows_that_fit_their_bodies_need_no_explanation() -> None:
    assert explain_mismatch([]) is None
    assert explain_mismatch([row("A", 1), row("B", 2)]) is None


def test_exchanged_bodies_are_explained_as_reordered() -> None:
    exchanged = [row("A", 1, says=("B", 2)), row("C", 3), row("B", 2, says=("A", 1))]
    assert explain_mismatch(exchanged) == ("reordered", "The bodies of 2 events have changed places: A, B.")
    turned = [row("A", 1, says=("B", 2)), row("B", 2, says=("C", 3)), row("C", 3, says=("A", 1))]
    assert explain_mismatch(turned) == ("reordered", "The bodies of 3 events have changed places: A, B, ….")


def test_a_changed_row_is_named() -> None:
    one = [row("A", 1, says=("A", 2)), row("B", 2)]
    assert explain_mismatch(one) == ("changed", "The uuid or the time of 1 event does not fit the body: A.")
    two = [row("A", 1, says=("X", 1)), row("B", 2, says=("B", 1))]
    assert explain_mismatch(two) == ("changed", "The uuid or the time of 2 events do not fit the body: A, B.")


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"uuid": "A"}',
        '{"uuid": "A", "timestamp": "yesterday"}',
        '{"uuid": "A", "timestamp": 7}',
        "[" * 100_000,
        b"\xff",
    ],
    ids=lambda body: str(body)[:20],
)
def test_a_body_that_is_no_event_fits_no_row(body: str | bytes) -> None:
    assert explain_mismatch([BodyRow("A", 1, body), row("B", 2)]) == (
        "changed",
        "The uuid or the time of 1 event does not fit the body: A.",
    )
