"""Which spans of time were read to their end: extended, begun, or left as they are, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.collected_spans import DAY_NS, KEPT_NS, STARTING_NS, extend

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

SPANS = "SELECT start_ns, end_ns FROM collected_spans ORDER BY id"
NOW_NS = 1000 * DAY_NS


@pytest.fixture
def read(engine: Engine, claim: StreamClaim) -> Callable[[int | None, int], None]:
    def extend_span(read_from_ns: int | None, started_ns: int, stream_id: int = claim.stream_id) -> None:
        with engine.begin() as connection:
            extend(connection, stream_id, read_from_ns, started_ns)

    return extend_span


@pytest.mark.parametrize(
    ("read_from_ns", "start_ns"),
    [
        (NOW_NS - DAY_NS, NOW_NS - DAY_NS),
        (NOW_NS - 1, NOW_NS - 1),
        (NOW_NS - KEPT_NS, NOW_NS - KEPT_NS),
        (NOW_NS - KEPT_NS - STARTING_NS, NOW_NS - KEPT_NS - STARTING_NS),
        (NOW_NS - KEPT_NS - STARTING_NS - 1, NOW_NS - KEPT_NS - STARTING_NS),
    ],
)
def test_the_first_span_begins_with_the_first_request_or_where_1password_forgets(
    read: Callable[[int | None, int], None], rows: Rows, read_from_ns: int, start_ns: int
) -> None:
    read(read_from_ns, NOW_NS)
    assert rows(SPANS) == [(start_ns, NOW_NS)]


@pytest.mark.parametrize("read_from_ns", [None, NOW_NS, NOW_NS + 1])
def test_without_a_start_before_the_run_there_is_no_span(
    read: Callable[[int | None, int], None], rows: Rows, read_from_ns: int | None
) -> None:
    read(read_from_ns, NOW_NS)
    assert rows(SPANS) == []


@pytest.mark.parametrize(
    ("pause_ns", "spans"),
    [
        (1, [(NOW_NS - DAY_NS, NOW_NS + 1)]),
        (KEPT_NS, [(NOW_NS - DAY_NS, NOW_NS + KEPT_NS)]),
        (KEPT_NS + 1, [(NOW_NS - DAY_NS, NOW_NS), (NOW_NS + 1, NOW_NS + KEPT_NS + 1)]),
    ],
)
def test_a_pause_leaves_a_gap_once_1password_has_forgotten_its_beginning(
    read: Callable[[int | None, int], None], rows: Rows, pause_ns: int, spans: list[tuple[int, int]]
) -> None:
    read(NOW_NS - DAY_NS, NOW_NS)
    read(NOW_NS - DAY_NS, NOW_NS + pause_ns)
    assert rows(SPANS) == spans


@pytest.mark.parametrize(
    ("read_from_ns", "spans"),
    [
        (NOW_NS, [(NOW_NS - DAY_NS, NOW_NS + DAY_NS)]),
        (NOW_NS + 1, [(NOW_NS - DAY_NS, NOW_NS), (NOW_NS + 1, NOW_NS + DAY_NS)]),
    ],
)
def test_a_cursor_that_begins_where_the_last_span_ends_leaves_no_gap_and_a_later_one_does(
    read: Callable[[int | None, int], None], rows: Rows, read_from_ns: int, spans: list[tuple[int, int]]
) -> None:
    read(NOW_NS - DAY_NS, NOW_NS)
    read(read_from_ns, NOW_NS + DAY_NS)
    assert rows(SPANS) == spans


def test_only_the_last_span_grows_and_none_shrinks(read: Callable[[int | None, int], None], rows: Rows) -> None:
    read(NOW_NS - DAY_NS, NOW_NS)
    read(NOW_NS + DAY_NS, NOW_NS + 2 * DAY_NS)
    read(NOW_NS - DAY_NS, NOW_NS + DAY_NS)  # read again from before
    assert rows(SPANS) == [(NOW_NS - DAY_NS, NOW_NS), (NOW_NS + DAY_NS, NOW_NS + 2 * DAY_NS)]
    read(NOW_NS - DAY_NS, NOW_NS + 3 * DAY_NS)
    assert rows(SPANS) == [(NOW_NS - DAY_NS, NOW_NS), (NOW_NS + DAY_NS, NOW_NS + 3 * DAY_NS)]


def test_each_stream_has_its_own_spans(engine: Engine, read: Callable[..., None], rows: Rows) -> None:
    other = streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0]
    read(NOW_NS - DAY_NS, NOW_NS)
    read(NOW_NS, NOW_NS + DAY_NS, stream_id=other.id)
    assert rows(SPANS) == [(NOW_NS - DAY_NS, NOW_NS), (NOW_NS, NOW_NS + DAY_NS)]


def drain(engine: Engine, view: streams.StreamView, start_ns: int | None, started_ns: int) -> None:
    claim = streams.acquire(engine, view, "run", by_force=True)
    assert claim
    if start_ns is not None:
        streams.record_first_request(engine, claim, start_ns)
    streams.record_drain(engine, claim, started_ns)


@pytest.fixture
def view(engine: Engine, source: SourceRecord) -> streams.StreamView:
    return streams.of_source(engine, source.id, (Api.AUDIT,))[0]


def test_a_pause_leaves_no_gap(engine: Engine, view: streams.StreamView, rows: Rows) -> None:
    drain(engine, view, 10 * DAY_NS, 11 * DAY_NS)
    drain(engine, view, None, 11 * DAY_NS + 300)
    drain(engine, view, None, 100 * DAY_NS)
    assert rows("SELECT start_ns, end_ns FROM collected_spans") == [(10 * DAY_NS, 100 * DAY_NS)]


def test_a_pause_of_more_than_120_days_does(engine: Engine, view: streams.StreamView, rows: Rows) -> None:
    drain(engine, view, 10 * DAY_NS, 11 * DAY_NS)
    drain(engine, view, None, 200 * DAY_NS)
    drain(engine, view, None, 201 * DAY_NS)
    assert rows("SELECT start_ns, end_ns FROM collected_spans ORDER BY id") == [
        (10 * DAY_NS, 11 * DAY_NS),
        (80 * DAY_NS, 201 * DAY_NS),
    ]


def test_a_first_request_for_all_of_the_120_days_leaves_none_though_its_stream_is_drained_later(
    engine: Engine, view: streams.StreamView, rows: Rows
) -> None:
    drain(engine, view, 10 * DAY_NS, 130 * DAY_NS + 300)
    drain(engine, view, None, 131 * DAY_NS)
    assert rows("SELECT start_ns, end_ns FROM collected_spans") == [(10 * DAY_NS, 131 * DAY_NS)]


def test_a_cursor_that_begins_later_leaves_a_gap(engine: Engine, view: streams.StreamView, rows: Rows) -> None:
    drain(engine, view, 10 * DAY_NS, 11 * DAY_NS)
    drain(engine, view, 12 * DAY_NS, 13 * DAY_NS)
    drain(engine, view, 9 * DAY_NS, 12 * DAY_NS)  # read again from before: nothing is undone
    assert rows("SELECT start_ns, end_ns FROM collected_spans ORDER BY id") == [
        (10 * DAY_NS, 11 * DAY_NS),
        (12 * DAY_NS, 13 * DAY_NS),
    ]


def test_what_was_not_read_to_its_end_does_not_count(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    streams.record_first_request(engine, claim, 10 * DAY_NS)
    page = Page("c1", has_more=False, events=[Event("U1", 5, "{}")], invalid_items=[])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")
    streams.release(engine, claim)
    assert rows("SELECT * FROM collected_spans") == []
