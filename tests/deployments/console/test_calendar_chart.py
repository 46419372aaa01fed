"""Coverage as a calendar and lag as bars: each day in its place, with its colour and its words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from support.coverage_reports import MIDNIGHT, NOW, UP_TO_NOW, record, report_of

from blocks.coverage.cells import Cell
from blocks.coverage.gaps import DAY_NS
from blocks.coverage.report import ApiReport
from blocks.store.state_spans import StateSpan
from deployments.console.calendar_chart import (
    LAG_HEIGHT,
    LAG_WIDTH,
    STEP,
    TICK_NS,
    TOP,
    Calendar,
    calendar,
    lag_bars,
    state_kind,
    timeline,
)

HOUR_NS = 3600 * 10**9
EMPTY = Cell(0, DAY_NS, 0, 0, 0, 0, DAY_NS, None)


def api(days: float = 27, **members: dict[int, int]) -> ApiReport:
    return report_of(record((20, 9), (7, UP_TO_NOW)), days=days, **members).apis[0]  # type: ignore[arg-type]


def kinds(*cells: Cell) -> list[str]:
    of = api()
    placed = [replace(cell, start_ns=MIDNIGHT + n * -DAY_NS, end_ns=NOW) for n, cell in enumerate(cells)]
    return [day.kind for day in calendar(replace(of, cells=placed)).days]


def test_without_past_days_there_is_no_calendar() -> None:
    assert calendar(replace(api(), cells=[])) == Calendar([], [], 0, 0)
    later = replace(EMPTY, start_ns=NOW, end_ns=NOW + DAY_NS)
    assert calendar(replace(api(), cells=[later])) == Calendar([], [], 0, 0)
    assert lag_bars(replace(api(), cells=[later])) == []


def test_weeks_go_right_and_days_down_from_monday() -> None:
    """The report begins on a Tuesday and ends on Monday, 21 September 2026."""
    drawn = calendar(api(27))
    first, last = drawn.days[0], drawn.days[-1]
    assert (first.x, first.y, first.label[:10]) == (0, TOP + STEP, "2026-08-25")
    assert (last.x, last.y, last.label[:10]) == (4 * STEP, TOP, "2026-09-21")
    assert (drawn.width, drawn.height) == (5 * STEP, TOP + 7 * STEP)
    assert drawn.months == [(STEP, "Sep")]
    assert len(drawn.days) == 28


def test_a_day_that_lacks_something_has_its_colour_before_its_events() -> None:
    assert kinds(
        replace(EMPTY, lost_ns=1, gap_ns=1, events=5),
        replace(EMPTY, gap_ns=1, events=5),
        EMPTY,
        replace(EMPTY, collected_ns=1),
    ) == ["day-lost", "day-gap", "day-before", "day-full-0"]


@pytest.mark.parametrize(
    ("events", "level"), [(1, 1), (625, 1), (626, 2), (2500, 2), (2501, 3), (5625, 3), (10_000, 4)]
)
def test_a_colour_is_the_root_of_the_part_of_the_largest(events: int, level: int) -> None:
    assert kinds(replace(EMPTY, events=10_000), replace(EMPTY, events=events))[1] == f"day-full-{level}"


def test_a_label_says_what_is_missing() -> None:
    labels = {day.label[:10]: day.label for day in calendar(api(27, events={1: 1234})).days}
    assert labels["2026-09-20"] == "2026-09-20: 1,234 events"
    assert labels["2026-09-13"] == "2026-09-13: 0 events, 24 h not collected"


def test_bars_of_lag_grow_with_its_order_of_magnitude() -> None:
    bars = lag_bars(api(9, lags={9: 10**8, 8: 10**10, 7: 10**16}))
    assert [bar.label for bar in bars] == ["2026-09-12: 0 s", "2026-09-13: 10 s", "2026-09-14: 116 d"]
    assert [bar.height for bar in bars] == [1.0, round(LAG_HEIGHT / 7, 2), LAG_HEIGHT]
    assert [bar.y for bar in bars] == [LAG_HEIGHT - 1, round(LAG_HEIGHT - LAG_HEIGHT / 7, 2), 0]
    assert [bar.x for bar in bars] == [0, LAG_WIDTH / 10, 2 * LAG_WIDTH / 10]
    assert math.isclose(bars[0].width, LAG_WIDTH / 10 * 0.8)


def test_a_span_of_a_state_lasts_at_least_until_the_next_run() -> None:
    rest = {"message": "", "runs": 1, "first_run_id": "", "last_run_id": ""}
    spans = [StateSpan(0, 0, "Collected", **rest), StateSpan(0, TICK_NS + 1, "ThirdPartyGenericError", **rest)]  # type: ignore[arg-type]
    assert timeline(spans) == [(0, TICK_NS, "good"), (0, TICK_NS + 1, "bad")]


@pytest.mark.parametrize(
    ("state", "kind"), [("Collected", "good"), ("FirstPartyGenericError", "bad"), ("Stopped", "idle"), ("", "idle")]
)
def test_a_state_has_a_kind(state: str, kind: str) -> None:
    assert state_kind(state) == kind
