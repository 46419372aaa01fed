"""How coverage looks: heat maps that can be read without colour, and what to do about gaps."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.coverage import heatmap
from blocks.coverage.advice import advise
from blocks.coverage.gaps import DAY_NS, HOUR_NS, CoverageRecord, Gap, GapKind, coverage
from blocks.coverage.report import Report, markdown, report

MIDNIGHT = 1_789_948_800 * 10**9  # 2026-09-21, a Monday
NOW = MIDNIGHT + 14 * HOUR_NS


def ago(days: float) -> int:
    return MIDNIGHT - int(days * DAY_NS)


def record(*spans: tuple[float, float], stream_id: int = 1, api: str = "audit", **members: Any) -> CoverageRecord:
    bounds = tuple((ago(start), ago(end)) for start, end in spans)
    first = {"read_from_ns": bounds[0][0], "drained_ns": bounds[-1][1]} if bounds else {}
    return CoverageRecord(stream_id, api, spans=bounds, **{**first, **members})


def made(
    *records: CoverageRecord, days: float = 30, by_hour: bool = False, events: dict[int, int] | None = None
) -> Report:
    found = [coverage(one, NOW) for one in records]
    counts = {(ago(day) // HOUR_NS): number for day, number in (events or {}).items()}
    return report("1Pass", found, {1: counts}, {}, since_ns=ago(days), now_ns=NOW, by_hour=by_hour)


UP_TO_NOW = -14 / 24


def test_a_calendar_is_read_without_colour() -> None:
    one = made(
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
    one = made(record((400, UP_TO_NOW)), days=400)
    lines = heatmap.plain_text(one.heat_map(one.apis[0])).splitlines()
    assert len(lines) == 2 * 8
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb", "Mar", "Apr"]


def test_a_calendar_shows_each_day_once_and_in_its_place() -> None:
    events = dict.fromkeys(range(0, 120, 7), 1)  # Mondays
    one = made(record((119, UP_TO_NOW)), days=119, events=events)
    rows = heatmap.plain_text(one.heat_map(one.apis[0])).splitlines()[1:]
    assert [row.count("█") for row in rows] == [len(events), *[0] * 6]


def test_hours_are_a_day_a_row() -> None:
    one = made(record((3, 1.5), (1.25, UP_TO_NOW)), days=2, by_hour=True)
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
    cell = made(record((30, UP_TO_NOW)), events={5: events}).apis[0].cells[-6]
    assert heatmap.cell_text(cell, largest, NOW)[0][0] == shown


def test_what_is_lost_and_what_was_never_asked_for_look_different_from_a_gap() -> None:
    one = made(record((140, 123), (110, UP_TO_NOW)), record((20, UP_TO_NOW), stream_id=2, api="sign-in"), days=130)
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


def test_the_command_that_closes_a_gap_takes_whole_seconds_and_names_the_apis() -> None:
    odd = ago(20) + 7
    gap = CoverageRecord(1, "audit", read_from_ns=ago(30), drained_ns=NOW, spans=((ago(30), odd), (ago(19) + 1, NOW)))
    (one,) = [one for one in advise("1Pass", [coverage(gap, NOW), found_of("sign-in")]) if one.gap.kind is GapKind.GAP]
    assert one.command == (
        "onepassword-source backfill 1Pass --start 2026-09-01T00:00:00Z --end 2026-09-02T00:00:01Z --api audit"
    )
    assert one.days_left == 99


def found_of(api: str, **members: Any) -> Any:
    return coverage(record((30, UP_TO_NOW), stream_id=2, api=api, **members), NOW)


def test_apis_with_one_gap_are_named_together_and_all_of_them_need_no_names() -> None:
    spans = ((30.0, 20.0), (19.0, UP_TO_NOW))
    late = ((30.0, 20.0 - 0.003), (19.0 - 0.003, UP_TO_NOW))
    both = [coverage(record(*spans), NOW), coverage(record(*late, stream_id=2, api="sign-in"), NOW)]
    (one,) = [one for one in advise("1Pass", both) if one.gap.kind is GapKind.GAP]
    assert one.apis == ("audit", "sign-in")
    assert "--api" not in one.command
    assert (one.gap.start_ns, one.gap.end_ns) == (ago(20), ago(19 - 0.003))
    third = [*both, found_of("itemUsage")]
    (one,) = [one for one in advise("1Pass", third) if one.gap.kind is GapKind.GAP]
    assert one.command.endswith("--api audit --api sign-in")


@pytest.mark.parametrize(
    ("stopped", "command"),
    [
        ("", "onepassword-source restart '1 Pass; rm -rf /'"),
        ("stopped", "onepassword-source start '1 Pass; rm -rf /'"),
        ("unsupported", "onepassword-source apply FILE"),
        ("deleted", "onepassword-source apply FILE"),
    ],
)
def test_an_open_gap_is_closed_by_collecting_again(stopped: str, command: str) -> None:
    found = coverage(record((30, 2), stopped=stopped), NOW)
    (one,) = [one for one in advise("1 Pass; rm -rf /", [found]) if one.gap.kind is GapKind.OPEN]
    assert one.command == command
    assert one.sentence == "not collected since; 117 days left, then 1Password drops it"


def test_a_name_like_an_option_stands_behind_two_dashes() -> None:
    found = coverage(record((30, 2)), NOW)
    assert advise("-x", [found])[-1].command == "onepassword-source restart -- -x"


@pytest.mark.parametrize(
    ("kind", "start", "end", "says"),
    [
        (GapKind.GAP, 118.2, 117, "1 day left, then 1Password drops it"),
        (GapKind.GAP, 119, 117, "less than a day left, then 1Password drops it"),
        (GapKind.GAP, 119.5, 117, "1Password drops it now, from its start on; the last of it in 2 days"),
        (GapKind.LOST, 122, 121, "lost: 1Password has it no longer"),
    ],
)
def test_how_long_there_is_time(kind: GapKind, start: float, end: float, says: str) -> None:
    from blocks.coverage.advice import GapAdvice

    assert GapAdvice(Gap(kind, ago(start), ago(end)), ("audit",), "", NOW).sentence == says


def test_markdown_can_be_driven_by_no_name() -> None:
    one = made(record((30, 20), (19, UP_TO_NOW)))
    nasty = Report("a`|<script>\n# x", one.now_ns, one.since_ns, one.by_hour, one.apis)
    text = markdown(nasty)
    assert "Source `a'\\|<script>\N{REPLACEMENT CHARACTER}# x`, 2026-08-22 to 2026-09-21T14:00:00Z (UTC)." in text
    row = next(line for line in text.splitlines() if line.startswith("| audit | 2026-09-01"))
    assert "`onepassword-source backfill " in row
    assert "There is no gap." in markdown(made(record((30, UP_TO_NOW))))
