"""Intervals against a model that knows each moment by itself."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from blocks.coverage import intervals

MOMENTS = 40
interval = st.tuples(st.integers(0, MOMENTS), st.integers(0, MOMENTS))
some = st.lists(interval, max_size=8)
painted = st.lists(st.tuples(st.integers(0, MOMENTS), st.integers(0, MOMENTS), st.integers(1, 5)), max_size=8)
edges = st.lists(st.integers(0, MOMENTS), min_size=2, max_size=9, unique=True).map(sorted)


def moments(spans: object) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}  # type: ignore[attr-defined]


def is_tidy(spans: list[intervals.Interval]) -> bool:
    """Sorted, none empty, none touches the next."""
    bounds = [edge for span in spans for edge in span]
    return all(low < high for low, high in itertools.pairwise(bounds))


@given(some)
def test_union_holds_each_moment_that_one_of_them_holds(given_: list[tuple[int, int]]) -> None:
    found = intervals.union(given_)
    assert moments(found) == moments(given_)
    assert is_tidy(found)


@given(interval, some)
def test_minus_holds_each_moment_that_none_of_them_holds(whole: tuple[int, int], given_: list[tuple[int, int]]) -> None:
    found = intervals.subtract(whole, intervals.union(given_))
    assert moments(found) == moments([whole]) - moments(given_)
    assert is_tidy(found)


@given(painted)
def test_highest_has_the_highest_value_of_each_moment(given_: list[intervals.ValuedInterval]) -> None:
    found = intervals.highest(given_)
    expected: dict[int, int] = {}
    for start, end, value in given_:
        for at in range(start, end):
            expected[at] = max(value, expected.get(at, 0))
    assert {at: value for start, end, value in found for at in range(start, end)} == expected
    assert sum(end - start for start, end, _ in found) == len(expected)
    assert all(one[1] < two[0] or one[2] != two[2] for one, two in itertools.pairwise(found))


@given(some, edges)
def test_lengths_count_the_moments_of_each_cell(given_: list[tuple[int, int]], bounds: list[int]) -> None:
    found = intervals.lengths(intervals.union(given_), bounds)
    cells = [range(low, high) for low, high in itertools.pairwise(bounds)]
    assert found == [len(moments(given_) & set(cell)) for cell in cells]


@given(painted, some, edges)
def test_lowest_is_known_where_the_whole_part_of_a_cell_has_a_value(
    values: list[intervals.ValuedInterval], given_: list[tuple[int, int]], bounds: list[int]
) -> None:
    spans, of_moment = moments(given_), {}
    for start, end, value in intervals.highest(values):
        of_moment.update(dict.fromkeys(range(start, end), value))
    expected = []
    for low, high in itertools.pairwise(bounds):
        wanted = spans & set(range(low, high))
        known = [of_moment[at] for at in wanted if at in of_moment]
        expected.append(min(known) if wanted and len(known) == len(wanted) else None)
    assert intervals.lowest(intervals.highest(values), intervals.union(given_), bounds) == expected
