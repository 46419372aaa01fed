"""The bars of a histogram: their times, their lengths, and what was not counted."""

from __future__ import annotations

import pytest

from blocks.store.search.counts import Histogram
from blocks.store.search.query import EARLIEST_NS, LATEST_NS
from deployments.console.event_charts import BUCKETS, HEIGHT, WIDTH, bars, bucket_ns, fitted_span

SECOND, HOUR, DAY = 10**9, 3600 * 10**9, 86_400 * 10**9


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (1, SECOND),
        (HOUR, 60 * SECOND),
        (DAY, HOUR / 2),
        (7 * DAY, 3 * HOUR),
        (120 * DAY, 2 * DAY),
        (2**64, 3640 * DAY),
    ],
)
def test_a_bucket_is_as_short_as_the_number_of_bars_allows(span: int, expected: int) -> None:
    assert bucket_ns(0, span) == expected
    assert span / bucket_ns(0, span) <= BUCKETS


@pytest.mark.parametrize(
    ("span", "ends", "expected"),
    [
        ((5, 9), None, (5, 9)),
        ((9, 5), None, None),
        ((EARLIEST_NS, LATEST_NS), None, None),
        ((EARLIEST_NS, LATEST_NS), (5, 9), (5, 10)),
        ((EARLIEST_NS, 7), (5, 9), (5, 7)),
        ((7, LATEST_NS), (5, 9), (7, 10)),
        ((11, LATEST_NS), (5, 9), None),
    ],
)
def test_an_open_span_ends_where_the_events_end(
    span: tuple[int, int], ends: tuple[int, int] | None, expected: tuple[int, int] | None
) -> None:
    assert fitted_span(span, ends) == expected


def test_bars_are_relative_to_the_largest_and_one_event_can_be_seen() -> None:
    found = bars(Histogram(100, 10, (0, 1, 1000, 5), counted_from_ns=110))
    assert [(bar.since_ns, bar.until_ns) for bar in found] == [(100, 110), (110, 120), (120, 130), (130, 140)]
    assert [bar.height for bar in found] == [0, 2, HEIGHT, 2]
    assert [bar.is_counted for bar in found] == [False, True, True, True]
    assert all(bar.y >= 0 and bar.y + bar.height == HEIGHT and bar.x + bar.width <= WIDTH for bar in found)
    assert bars(Histogram(0, 10, (), counted_from_ns=0)) == []
