"""Heat maps of coverage can be read without colour, and fit a terminal."""

from __future__ import annotations

import pytest
from support.coverage_reports import NOW, UP_TO_NOW, record, report_of

from blocks.coverage import heatmap


def test_a_calendar_is_read_without_colour() -> None:
    one = report_of(
        record((22, 15), (13.5, 9), (7, UP_TO_NOW)),
        days=27,
        events={21: 100, 20: 60, 19: 20, 18: 1, 14: 5, 13: 7, 2: 100},
    )
    assert heatmap.plain_text(one.heat_map(one.apis[0])).splitlines() == [
        "       Sep",
        "Mon    █ ░?· ·",
        "     - █ ▒ ·",
        "Wed  - ▒ · ·",
        "     - ░ · ·",
        "Fri  - · · ·",
        "     - · ??█",
        "Sun  · ????·",
    ]


def test_a_calendar_of_a_year_fits_80_columns() -> None:
    one = report_of(record((400, UP_TO_NOW)), days=400)
    lines = heatmap.plain_text(one.heat_map(one.apis[0])).splitlines()
    assert len(lines) == 2 * 8
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb", "Mar", "Apr"]


def test_a_calendar_shows_each_day_once_and_in_its_place() -> None:
    events = dict.fromkeys(range(0, 120, 7), 1)  # Mondays
    one = report_of(record((119, UP_TO_NOW)), days=119, events=events)
    rows = heatmap.plain_text(one.heat_map(one.apis[0])).splitlines()[1:]
    assert [row.count("█") for row in rows] == [len(events), *[0] * 6]


def test_hours_are_a_day_a_row() -> None:
    one = report_of(record((3, 1.5), (1.25, UP_TO_NOW)), days=2, by_hour=True)
    lines = heatmap.plain_text(one.heat_map(one.apis[0])).splitlines()
    assert lines == [
        "            00    03    06    09    12    15    18    21",
        "2026-09-19  " + "· " * 12 + "??" * 6 + "· " * 5 + "·",
        "2026-09-20  " + "· " * 23 + "·",
        "2026-09-21  " + "· " * 13 + "·",
    ]


@pytest.mark.parametrize(
    ("events", "largest", "shown"), [(1, 100, "░"), (7, 100, "▒"), (50, 100, "▓"), (57, 100, "█"), (3, 3, "█")]
)
def test_one_event_shows_and_the_most_is_the_darkest(events: int, largest: int, shown: str) -> None:
    cell = report_of(record((30, UP_TO_NOW)), events={5: events}).apis[0].cells[-6]
    assert heatmap.cell_text(cell, largest, NOW)[0][0] == shown


def test_lost_events_and_events_never_requested_look_different_from_a_gap() -> None:
    one = report_of(record((140, 123), (110, UP_TO_NOW)), record((20, UP_TO_NOW), stream_id=2, api="sign-in"), days=130)
    first, second = (heatmap.plain_text(one.heat_map(api)) for api in one.apis)
    assert [row[5:13] for row in first.splitlines()[1:]] == [
        "  · ????",
        "  · ????",
        "  · ??· ",
        "· !!??· ",
        "· !!??· ",
        "· !!??· ",
        "· ????· ",  # the day on which what 1Password keeps begins: a part of it can still be had
    ]
    assert (second.count("?"), second.count("!"), second.count("-")) == (0, 0, 99)
