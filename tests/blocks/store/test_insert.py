"""Events are inserted once each, in the order of their page, and the new ones are known by their places in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from blocks.events_api.models import Event
from blocks.store.engine import writing
from blocks.store.insert import InsertedEvents, insert_events, legible_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim


def event(uuid: str, body: str = "{}") -> Event:
    return Event(uuid, 5, body)


def insert(engine: Engine, claim: StreamClaim, events: Sequence[Event]) -> InsertedEvents:
    with writing(engine) as connection:
        return insert_events(connection, claim.stream_id, 7, events)


def stored(engine: Engine) -> list[tuple[int, str, str]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT id, uuid, body FROM events ORDER BY id"))]


@pytest.mark.parametrize("number", [1, 9, 10, 11, 101, 1000, 1111])
def test_a_page_of_new_events_has_ids_in_its_order(engine: Engine, claim: StreamClaim, number: int) -> None:
    new = insert(engine, claim, [event(f"U{n}", f'{{"n": {n}}}') for n in range(number)])
    rows = stored(engine)
    assert [(uuid, body) for _, uuid, body in rows] == [(f"U{n}", f'{{"n": {n}}}') for n in range(number)]
    assert (list(new.positions), new.count) == (list(range(number)), number)
    assert (new.first_id, new.last_id) == (rows[0][0], rows[-1][0])


def test_no_events_and_none_that_are_new(engine: Engine, claim: StreamClaim) -> None:
    assert insert(engine, claim, []) == InsertedEvents()
    insert(engine, claim, [event("a")])
    assert insert(engine, claim, [event("a", '{"other": 1}')]) == InsertedEvents()
    assert [body for *_, body in stored(engine)] == ["{}"], "the first body stays"


def test_of_a_page_with_old_and_repeated_events_the_places_of_the_new_ones_are_known(
    engine: Engine, claim: StreamClaim
) -> None:
    insert(engine, claim, [event("b"), event("d")])
    page = [event(uuid, f'{{"at": {at}}}') for at, uuid in enumerate("abcdeca")]
    new = insert(engine, claim, page)
    assert list(new.positions) == [0, 2, 4]
    assert new.of("0123456") == ["0", "2", "4"]
    assert new.rest("0123456") == ["1", "3", "5", "6"]
    rows = stored(engine)[2:]
    assert [body for *_, body in rows] == ['{"at": 0}', '{"at": 2}', '{"at": 4}']
    assert (new.first_id, new.last_id) == (rows[0][0], rows[-1][0])


def test_the_items_of_a_page_that_is_wholly_new_are_all_of_them() -> None:
    new = InsertedEvents(range(2), 1, 2)
    assert (new.of("ab"), new.rest("ab")) == ("ab", ())


@pytest.mark.parametrize(
    ("body", "copy"),
    [
        ('{"a": "plain é"}', None),
        (r'{"a": "\u0000x"}', r'{"a": "\ufffdx"}'),
        (r'{"a": "\ud83d\ude00"}', None),
        (r'{"a": "\ud83d"}', r'{"a": "\ufffd"}'),
        (r'{"a": "\uDE00\uD83D"}', r'{"a": "\ufffd\ufffd"}'),
        (r'{"a": "\\u0000"}', None),
        (r'{"a": "\\\u0000"}', r'{"a": "\\\ufffd"}'),
        (r'{"a": "\ud83d\ud83d\ude00"}', r'{"a": "\ufffd\ud83d\ude00"}'),
    ],
)
def test_a_legible_copy_has_no_escape_that_a_database_cannot_decode(body: str, copy: str | None) -> None:
    assert legible_body(body) == copy
