"""Coverage of an API as a calendar, and its lag as bars: SVG drawn by a template."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from blocks import clock
from blocks.coverage.gaps import DAY_NS
from blocks.coverage.heatmap import MONTHS
from deployments.terminal_output import format_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blocks.coverage.cells import Cell
    from blocks.coverage.report import ApiReport
    from blocks.store.state_spans import StateSpan

STEP, TOP = 14, 16
LEVELS = 4
LAG_WIDTH, LAG_HEIGHT = 360, 80


class Day(NamedTuple):
    """A day of the calendar: its place, its class (`day-full-3`), and what it shows on hover."""

    x: int
    y: int
    kind: str
    label: str


class Calendar(NamedTuple):
    """The days by week and weekday, the names of the months (place, name), and the size."""

    days: list[Day]
    months: list[tuple[int, str]]
    width: int
    height: int


def calendar(api: ApiReport) -> Calendar:
    """Weeks from left to right, Monday on top."""
    cells = _past_cells(api)
    if not cells:
        return Calendar([], [], 0, 0)
    largest = max((cell.events for cell in cells), default=0)
    first = _week(cells[0])
    days = [_day(cell, first, largest) for cell in cells]
    months: list[tuple[int, str]] = []
    for cell in cells:
        date = _date(cell)
        if date.endswith("-01"):
            months.append(((_week(cell) - first) * STEP, MONTHS[int(date[5:7]) - 1]))
    return Calendar(days, months, (_week(cells[-1]) - first + 1) * STEP, TOP + 7 * STEP)


def _past_cells(api: ApiReport) -> list[Cell]:
    return [cell for cell in api.cells if cell.start_ns < api.coverage.now_ns]


def _day(cell: Cell, first: int, largest: int) -> Day:
    x, y = (_week(cell) - first) * STEP, TOP + _weekday(cell) * STEP
    return Day(x, y, _kind(cell, largest), f"{_date(cell)}: {_text(cell)}")


def _date(cell: Cell) -> str:
    return (format_rfc3339(cell.start_ns) or "")[:10]


def _kind(cell: Cell, largest: int) -> str:
    if cell.lost_ns:
        return "day-lost"
    if cell.gap_ns:
        return "day-gap"
    if cell.events:
        level = math.ceil(math.sqrt(cell.events / max(largest, 1)) * LEVELS)
        return f"day-full-{max(level, 1)}"
    return "day-full-0" if cell.collected_ns else "day-before"


def _text(cell: Cell) -> str:
    parts = [f"{cell.events:,} events"]
    parts += [f"{clock.format_span(cell.gap_ns)} not collected"] if cell.gap_ns else []
    parts += [f"{clock.format_span(cell.lost_ns)} lost for good"] if cell.lost_ns else []
    return ", ".join(parts)


def _week(cell: Cell) -> int:
    return (cell.start_ns // DAY_NS + 3) // 7  # 1970 began on a Thursday


def _weekday(cell: Cell) -> int:
    return (cell.start_ns // DAY_NS + 3) % 7


class LagBar(NamedTuple):
    """A bar of the lag chart, in the units of the chart, and what it shows on hover."""

    x: float
    y: float
    width: float
    height: float
    label: str


def lag_bars(api: ApiReport) -> list[LagBar]:
    """One bar for each day with a lag; the scale is logarithmic, from a second to 120 days."""
    cells = _past_cells(api)
    step = LAG_WIDTH / max(len(cells), 1)
    bars = []
    for place, cell in enumerate(cells):
        if cell.lag_ns is not None:
            tall = max(math.log10(max(cell.lag_ns / 1e9, 1)) / 7 * LAG_HEIGHT, 1.0)
            x, y = round(place * step, 2), round(LAG_HEIGHT - tall, 2)
            label = f"{_date(cell)}: {clock.format_span(cell.lag_ns)}"
            bars.append(LagBar(x, y, round(step * 0.8, 2), round(tall, 2), label))
    return bars


TICK_NS = 300 * 10**9
"""A span of one run is shown as long as the time until the next."""


def timeline(spans: Iterable[StateSpan]) -> list[tuple[int, int, str]]:
    """The spans of states for `shapes.spans`: start, end and kind."""
    return [(span.start_ns, max(span.end_ns, span.start_ns + TICK_NS), state_kind(span.state)) for span in spans]


def state_kind(state: str) -> str:
    """The class of a state: its colour and its icon."""
    if state.endswith("Error"):
        return "bad"
    return "good" if state == "Collected" else "idle"
