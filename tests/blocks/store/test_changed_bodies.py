"""Bodies that the server changed: which ones count as changed, and how they are reported, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.moving_clock import START_NS

from blocks.events_api.models import Event, Page
from blocks.store import changed_bodies, pages
from blocks.store.engine import writing
from blocks.store.integrity.digests import body_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

COUNT = "SELECT changed FROM streams WHERE changed > 0"
REPORTS = "SELECT description FROM health_events ORDER BY id"


def event(number: int, body: str | None = None) -> Event:
    return Event(f"U{number}", 5, body or f'{{"n": {number}, "more": [1, "ä"]}}')


@pytest.fixture
def save(engine: Engine, claim: StreamClaim) -> Callable[..., int]:
    """Save received events over a store with the events 0 to 7 of v2."""
    stored = [event(number) for number in range(8)]
    page = Page("c1", has_more=False, events=stored, invalid_items=[])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")

    own = text("UPDATE streams SET api = api WHERE id = :id RETURNING *")

    def save_bodies(*events: Event, version: str = "v2") -> int:
        with writing(engine) as connection:
            stream = connection.execute(own, {"id": claim.stream_id}).one()
            return changed_bodies.save(connection, stream, events, version)

    return save_bodies


def changed(number: int, what: str = "new") -> Event:
    return event(number, f'{{"n": "{what} {number}"}}')


def test_no_events_and_equal_bodies_change_nothing(save: Callable[..., int], rows: Rows) -> None:
    assert save() == 0
    assert save(event(0), event(1, '{"more":[1,"\\u00e4"],\n"n":1}')) == 0, "another order and spelling is no change"
    assert (rows(COUNT), rows(REPORTS), rows("SELECT uuid FROM changed_bodies")) == ([], [], [])


def test_a_changed_body_is_stored_beside_the_event_with_its_digest(
    save: Callable[..., int], moving: MovingClock, rows: Rows
) -> None:
    moving.advance(60)
    assert save(event(0), changed(1)) == 1
    assert rows("SELECT uuid, body, api_version, received_ns, digest FROM changed_bodies") == [
        ("U1", changed(1).body, "v2", START_NS + 60 * 10**9, body_digest(changed(1).body))
    ]
    assert rows("SELECT body FROM events WHERE uuid = 'U1'") == [(event(1).body,)]
    assert rows(COUNT) == [(1,)]


def test_each_body_counts_once_however_often_it_comes(save: Callable[..., int], rows: Rows) -> None:
    assert save(changed(1), changed(1)) == 1
    assert save(changed(1), changed(1, "newer"), changed(2)) == 2
    assert save(changed(1, "newer"), changed(2)) == 0
    assert rows(COUNT) == [(3,)]
    assert len(rows(REPORTS)) == 2


def test_an_event_that_is_not_stored_has_no_other_body(save: Callable[..., int]) -> None:
    assert save(changed(99)) == 0


def test_a_body_of_another_version_of_the_api_is_no_change(save: Callable[..., int]) -> None:
    assert save(changed(1), version="v1") == 0
    assert save(changed(1), version="v2") == 1


def test_the_version_is_that_of_the_link_that_has_the_event(
    save: Callable[..., int], engine: Engine, claim: StreamClaim
) -> None:
    """Three links, of v2, v1 and v2; the first and the last events of each."""
    for number, version in ((10, "v1"), (20, "v2")):
        page = Page(f"c{number}", has_more=False, events=[event(number), event(number + 1)], invalid_items=[])
        after = "c1" if number == 10 else "c10"
        pages.commit_page(engine, claim, page, after=after, api_version=version)
    numbers = (0, 7, 10, 11, 20, 21)
    assert [save(changed(number), version="v2") for number in numbers] == [1, 1, 0, 0, 1, 1]
    assert [save(changed(number), version="v1") for number in numbers] == [0, 0, 1, 1, 0, 0]


def test_an_event_of_before_the_links_has_no_known_version(save: Callable[..., int], engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE chain SET first_id = first_id + 1"))
    assert save(changed(0)) == 0
    assert save(changed(1)) == 1
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM chain"))
    assert save(changed(2)) == 0


def test_json_that_cannot_be_compared_differs_if_its_text_does(save: Callable[..., int]) -> None:
    surrogate = r'{"n": "\ud800"}'
    assert save(event(1, surrogate)) == 1
    assert save(event(1, "[" * 5000 + "]" * 5000)) == 1, "nested deeper than the comparison goes"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (1, "1Password has changed one event of audit since: U0."),
        (2, "1Password has changed 2 events of audit since: U0, U1."),
        (5, "1Password has changed 5 events of audit since: U0, U1, U2, U3, U4."),
        (6, "1Password has changed 6 events of audit since: U0, U1, U2, U3, U4 and 1 more."),
        (8, "1Password has changed 8 events of audit since: U0, U1, U2, U3, U4 and 3 more."),
    ],
)
def test_the_report_names_the_first_five(save: Callable[..., int], rows: Rows, number: int, sentence: str) -> None:
    assert save(*map(changed, range(number))) == number
    assert rows(REPORTS) == [(sentence,)]
