"""Small charts as numbers: bars in proportion, cells side by side, and spans cut to the time that is shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.console.shapes import Bar, spans, spark, strip


def test_nothing_makes_no_bars() -> None:
    assert spark([]) == strip([]) == spans([], 0, 10) == []


def test_bars_are_relative_to_the_largest() -> None:
    assert spark([5, 10, 0, 0.001], width=40, height=20) == [
        Bar(0, 10, 8, 10, 5),
        Bar(10, 0, 8, 20, 10),
        Bar(20, 20, 8, 0, 0),
        Bar(30, 19, 8, 1, 0.001),
    ]


def test_without_a_count_above_zero_no_bar_has_a_height() -> None:
    assert [bar.height for bar in spark([0, 0])] == [0, 0]


def test_neighbours_of_one_kind_are_one_bar() -> None:
    assert strip(["full", "full", "gap", "full"], width=40) == [
        Bar(0, 0, 20, 10, 2, "full"),
        Bar(20, 0, 10, 10, 1, "gap"),
        Bar(30, 0, 10, 10, 1, "full"),
    ]


@given(st.lists(st.sampled_from(["full", "gap", "lost"]), min_size=1, max_size=130))
def test_a_strip_has_all_cells_and_its_width(kinds: list[str]) -> None:
    bars = strip(kinds)
    assert sum(bar.value for bar in bars) == len(kinds)
    assert sum(bar.width for bar in bars) == pytest.approx(120, abs=0.2)
    assert all(before.kind != after.kind for before, after in pairwise(bars))


@pytest.mark.parametrize(
    ("part", "bars"),
    [
        ((100, 200, "good"), [Bar(0, 0, 600, 16, 100, "good")]),
        ((50, 150, "good"), [Bar(0, 0, 300, 16, 50, "good")]),
        ((150, 250, "bad"), [Bar(300, 0, 300, 16, 50, "bad")]),
        ((125, 150, "bad"), [Bar(150, 0, 150, 16, 25, "bad")]),
        ((0, 100, "good"), []),
        ((200, 300, "good"), []),
        ((150, 150, "good"), []),
    ],
)
def test_a_span_is_cut_to_the_time_shown(part: tuple[int, int, str], bars: list[Bar]) -> None:
    assert spans([part], 100, 200) == bars


def test_a_short_span_is_still_seen_and_no_time_is_no_error() -> None:
    assert [bar.width for bar in spans([(500, 501, "bad")], 0, 10**6)] == [1.0]
    assert spans([(0, 10, "bad")], 5, 5) == []
