"""Cells as a heat map of text: a week a column and a weekday a row, or a day a row and an hour a column.

Each cell is two characters: how many events, and a mark where a part of it was not collected. So it can be read without
colour; each text also has the name of its style, for outputs with colour.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

from whenever import Instant

from blocks.coverage.gaps import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blocks.coverage.cells import Cell

StyledText = tuple[str, str]
"""A text and its style: one of `STYLES`, or none."""
Line = list[StyledText]

LEVELS = "░▒▓█"
QUIET, UNREAD, LOST, BEFORE, AHEAD = "·", "?", "!", "-", " "
STYLES = ("level1", "level2", "level3", "level4", "quiet", "gap", "lost", "before", "label")
LEGEND: tuple[tuple[StyledText, str], ...] = (
    ((QUIET, "quiet"), "none"),
    ((LEVELS, "level3"), "few to many"),
    ((UNREAD, "gap"), "not collected"),
    ((LOST, "lost"), "lost for good"),
    ((BEFORE, "before"), "before the start"),
)
WEEKS_MAX = 37  # of two characters each beside the names of the days: 80 columns
WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
_MARGIN = 5


def calendar(cells: Sequence[Cell], now_ns: int) -> list[Line]:
    """Days: weeks from left to right, as many bands below each other as 80 columns need."""
    largest = max((cell.events for cell in cells), default=0)
    weeks = [list(days) for _, days in groupby(cells, key=lambda cell: _monday(cell.start_ns))]
    lines: list[Line] = []
    for first in range(0, len(weeks), WEEKS_MAX):
        band = weeks[first : first + WEEKS_MAX]
        lines += [_months(band), *_weekdays(band, largest, now_ns)]
    return lines


def hours(cells: Sequence[Cell], now_ns: int) -> list[Line]:
    """Hours: a day a row, the newest last."""
    largest = max((cell.events for cell in cells), default=0)
    head = "".join(f"{hour:02}    " for hour in range(0, 24, 3))
    lines: list[Line] = [[(" " * 12 + head.rstrip(), "label")]]
    for day, of_day in groupby(cells, key=lambda cell: cell.start_ns // DAY_NS):
        name = _date(day * DAY_NS)
        line: Line = [(f"{name}  ", "label")]
        for cell in of_day:
            line += cell_text(cell, largest, now_ns)
        lines.append(line)
    return lines


def cell_text(cell: Cell, largest: int, now_ns: int) -> tuple[StyledText, StyledText]:
    """The two characters of a cell: what it holds, and what of it is missing."""
    past_ns = min(cell.end_ns, now_ns) - cell.start_ns
    if past_ns <= 0:
        return (AHEAD, ""), (AHEAD, "")
    missing: StyledText = (UNREAD, "gap") if cell.gap_ns else (LOST, "lost") if cell.lost_ns else (" ", "")
    if cell.events:
        level = max(math.ceil(math.sqrt(cell.events / max(largest, 1)) * len(LEVELS)), 1)
        return (LEVELS[level - 1], f"level{level}"), missing
    if cell.gap_ns + cell.lost_ns >= past_ns:
        return missing, missing
    if cell.before_ns >= past_ns:
        return (BEFORE, "before"), (" ", "")
    if not cell.collected_ns and not cell.gap_ns and not cell.lost_ns and not _is_current(cell, now_ns):
        return (" ", ""), (" ", "")  # older than the start, and than what 1Password keeps
    return (QUIET, "quiet"), missing


def legend() -> Line:
    line: Line = []
    for sign, meaning in LEGEND:
        line += [sign, (f" {meaning}  ", "label")]
    return line


def plain_text(lines: Sequence[Line]) -> str:
    """The text alone."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def _is_current(cell: Cell, now_ns: int) -> bool:
    return cell.start_ns <= now_ns < cell.end_ns


def _weekdays(band: list[list[Cell]], largest: int, now_ns: int) -> Iterator[Line]:
    by_day = [{_weekday(cell.start_ns): cell for cell in week} for week in band]
    for weekday, name in enumerate(WEEKDAYS):
        line: Line = [(f"{name:{_MARGIN}}", "label")]
        for week in by_day:
            cell = week.get(weekday)
            line += [("  ", "")] if cell is None else cell_text(cell, largest, now_ns)
        yield line


def _months(band: list[list[Cell]]) -> Line:
    """The name of a month stands over the week in which it begins, and that of the first over the first."""
    begins = [
        (number, _month(week[-1]))
        for number, week in enumerate(band)
        if number == 0 or any(_date(cell.start_ns)[8:] == "01" for cell in week)
    ]
    if len(begins) > 1 and begins[1][0] == 1:  # no room for two names
        del begins[0]
    text = ""
    for number, name in begins:
        text = text.ljust(_MARGIN + 2 * number) + name
    return [(text, "label")]


def _month(cell: Cell) -> str:
    return MONTHS[int(_date(cell.start_ns)[5:7]) - 1]


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _weekday(start_ns: int) -> int:
    return (start_ns // DAY_NS + 3) % 7  # 1970 began on a Thursday


def _monday(start_ns: int) -> int:
    return start_ns // DAY_NS - _weekday(start_ns)


def _date(start_ns: int) -> str:
    return Instant.from_timestamp(start_ns, unit="nanosecond").format_iso(unit="second")[:10]
