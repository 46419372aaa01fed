"""A page and its cursor are one transaction, and an event is kept once: on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.values import SOURCE

from blocks.errors import ClaimLostError, FirstPartyGenericError
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.store import pages, sources, streams
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

Rows = "Callable[[str], list[tuple[object, ...]]]"
CURSOR = "SELECT cursor, events, newest_ns FROM streams WHERE api = 'audit'"


def event(number: int, body: str | None = None) -> Event:
    return Event(f"UUID{number:022}", 1_700_000_000_123_456_789 + number, body or f'{{"n": {number}}}')


def page(numbers: range | list[int], cursor: str = "c1", *, rejected: int = 0) -> Page:
    aside = [InvalidItem("no uuid", b'{"aside": %d}' % number) for number in range(rejected)]
    return Page(cursor, has_more=False, events=[event(number) for number in numbers], invalid_items=aside)


def commit(engine: Engine, claim: StreamClaim, new_page: Page, after: str | None = None) -> pages.PageCounts:
    return pages.commit_page(engine, claim, new_page, after=after, api_version="v2")


@pytest.mark.parametrize("size", [1, 9, 10, 11, 99, 100, 1000, 1234, 2999])
def test_any_number_of_events_is_stored_and_counted(engine: Engine, claim: StreamClaim, rows: Rows, size: int) -> None:
    assert commit(engine, claim, page(range(size))) == pages.PageCounts(new=size, known=0, quarantined=0)
    assert rows("SELECT count(*), count(DISTINCT uuid) FROM events") == [(size, size)]
    assert rows(CURSOR) == [("c1", size, event(size - 1).time_ns)]


def test_what_is_stored_already_is_counted_and_stays(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    commit(engine, claim, page(range(10)))
    changed = Page("c2", has_more=False, events=[event(5, '{"n": "changed"}'), event(50)], invalid_items=[])
    assert commit(engine, claim, changed, after="c1") == pages.PageCounts(new=1, known=1, quarantined=0, changed=1)
    assert rows("SELECT body FROM events WHERE uuid LIKE '%0005'") == [('{"n": 5}',)]
    assert rows(CURSOR)[0][:2] == ("c2", 11)


def test_one_event_twice_in_a_page_is_kept_once(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    assert commit(engine, claim, page([1, 2, 1, 1])) == pages.PageCounts(new=2, known=2, quarantined=0)
    assert rows("SELECT count(*) FROM events") == [(2,)]


def test_the_same_uuid_in_two_streams_is_two_events(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    other = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0], "run-1")
    assert other
    commit(engine, claim, page([1]))
    assert commit(engine, other, page([1])).new == 1
    assert rows("SELECT count(*) FROM events") == [(2,)]


BODIES = (
    '{"a":"\\u0000 \\ud83d\\ude00 \\ud800"}',
    '{ "b" :\t1e400,\r\n "c": 123456789012345678901234567890 }',
    '{"d":"\u2028 é 漢 \U0001f600","e":"%s %(x)s :name ? \' \\\\ \\""}',
    '{"f":"' + "x" * 1_000_000 + '"}',
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_is_kept_byte_for_byte(engine: Engine, claim: StreamClaim, rows: Rows, body: str) -> None:
    commit(engine, claim, Page("c1", has_more=False, events=[event(1, body)], invalid_items=[]))
    assert rows("SELECT body FROM events") == [(body,)]


def test_what_is_no_event_goes_to_quarantine_once(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    assert commit(engine, claim, page(range(3), rejected=2)).quarantined == 2
    assert commit(engine, claim, page([], "c2", rejected=3), after="c1").quarantined == 1
    found = rows("SELECT reason, body FROM quarantine ORDER BY id")
    assert [(reason, bytes(body)) for reason, body in found] == [
        ("no uuid", b'{"aside": 0}'),
        ("no uuid", b'{"aside": 1}'),
        ("no uuid", b'{"aside": 2}'),
    ]
    assert rows("SELECT quarantined FROM streams WHERE api = 'audit'") == [(3,)]


def test_the_cursor_moves_only_from_where_it_was_read(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    commit(engine, claim, page(range(3), "c1"))
    with pytest.raises(ClaimLostError):
        commit(engine, claim, page(range(5), "c9"), after=None)
    with pytest.raises(ClaimLostError):
        commit(engine, claim, page(range(5), "c9"), after="c0")
    assert rows("SELECT count(*) FROM events") == [(3,)]
    assert rows(CURSOR)[0][0] == "c1"


def test_a_claim_that_was_taken_away_writes_nothing(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    assert streams.acquire(engine, view, "run-2", by_force=True)
    with pytest.raises(ClaimLostError):
        commit(engine, claim, page(range(3)))
    assert rows("SELECT count(*) FROM events") == [(0,)]
    assert rows(CURSOR)[0][0] is None


def test_an_error_in_the_middle_leaves_neither_events_nor_cursor(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    too_late = Event("LAST", 2**63, "{}")  # no 64-bit column takes this time
    broken = Page("c1", has_more=False, events=[*page(range(1500)).events, too_late], invalid_items=[])
    with pytest.raises((FirstPartyGenericError, OverflowError)):
        commit(engine, claim, broken)
    assert rows("SELECT count(*) FROM events") == [(0,)]
    assert rows(CURSOR) == [(None, 0, None)]
    assert commit(engine, claim, page(range(5))).new == 5


def test_an_empty_page_moves_the_cursor(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    assert commit(engine, claim, page([], "c7")) == pages.PageCounts(0, 0, 0)
    assert rows(CURSOR) == [("c7", 0, None)]


def test_an_older_event_does_not_make_the_newest_older(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    commit(engine, claim, page([9], "c1"))
    commit(engine, claim, page([3], "c2"), after="c1")
    assert rows(CURSOR)[0][2] == event(9).time_ns


def test_a_committed_page_ends_the_90_minutes(engine: Engine, claim: StreamClaim) -> None:
    streams.record_failure(engine, claim, FirstPartyGenericError("no"))
    assert streams.get(engine, claim.stream_id).failing_since_ns is not None
    commit(engine, claim, page([1]))
    view = streams.get(engine, claim.stream_id)
    assert (view.failing_since_ns, view.error_type, view.error_message) == (None, None, None)


def test_four_writers_at_once_lose_nothing(store_url: str, engine: Engine, rows: Rows) -> None:
    """Each writer has an engine of its own, as processes do, and all write into one stream and its neighbours."""
    for number in range(4):
        sources.save(engine, _source(number))

    def write(number: int) -> int:
        own = open_engine(store_url)
        view = streams.of_source(own, _source(number).id, (Api.AUDIT,))[0]
        stream_claim = streams.acquire(own, view, f"run-{number}")
        assert stream_claim
        new, after = 0, None
        for turn in range(20):
            new_page = page(range(turn * 50, turn * 50 + 100), f"c{turn}")
            new += commit(own, stream_claim, new_page, after).new
            after = f"c{turn}"
        own.dispose()
        return new

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [1050] * 4
    assert rows("SELECT count(*) FROM events") == [(4200,)]


def test_ids_rise_in_commit_order_and_are_64_bit_and_never_used_twice(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, page(range(3), "c1"))
    commit(engine, claim, page(range(3, 6), "c2"), after="c1")
    ids = [row[0] for row in rows("SELECT id FROM events ORDER BY time_ns")]
    assert ids == sorted(ids)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM events"))
    commit(engine, claim, page([7], "c3"), after="c2")
    assert rows("SELECT id FROM events")[0][0] > max(ids)
    if engine.dialect.name == "postgresql":
        kind = rows("SELECT data_type FROM information_schema.columns WHERE table_name='events' AND column_name='id'")
        assert kind == [("bigint",)]


def _source(number: int) -> sources.SourceRecord:
    from dataclasses import replace

    return replace(SOURCE, id=f"{number + 10:032}", name=f"source {number}")
