"""The charts of the coverage page, as plotly.js takes them: what stands where, and what marks what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from support.coverage_reports import MIDNIGHT, UP_TO_NOW, record, report_of

from blocks.coverage.cells import Cell
from blocks.coverage.gaps import DAY_NS, HOUR_NS
from deployments.commands.coverage_page import figures
from deployments.commands.coverage_page.figures import build_figures, cell_label, missing_spans

# The report is of Monday, 2026-09-21; the 6th and half of the 7th were not collected.
GAPPED = ((22.0, 15.0), (13.5, UP_TO_NOW))


def cell(**members: Any) -> Cell:
    parts = {"events": 0, "collected_ns": 0, "gap_ns": 0, "lost_ns": 0, "before_ns": 0, "reconciled_ns": None}
    return Cell(MIDNIGHT, MIDNIGHT + DAY_NS, **parts | members)


def traces(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace.get("name", trace["type"]): trace for trace in figure["data"]}


def test_each_api_has_a_calendar_and_all_of_them_share_the_other_charts() -> None:
    report = report_of(record(*GAPPED), record(*GAPPED, stream_id=2, api="sign-in"))
    assert list(build_figures(report)) == ["collected", "calendar-0", "calendar-1", "events", "lag"]


@pytest.mark.parametrize(("by_hour", "label"), [(False, "2026-09-21"), (True, "2026-09-21 00:00")])
def test_a_cell_is_named_by_its_day_or_its_hour(*, by_hour: bool, label: str) -> None:
    assert cell_label(cell(), by_hour=by_hour) == label


def test_what_is_missing_in_a_cell_is_in_words() -> None:
    assert missing_spans(cell()) == []
    assert missing_spans(cell(gap_ns=2 * HOUR_NS, lost_ns=3 * HOUR_NS)) == ["2 h not collected", "3 h lost for good"]
    assert missing_spans(cell(before_ns=DAY_NS - 1)) == []
    assert missing_spans(cell(before_ns=DAY_NS)) == ["before the start"]


def test_a_calendar_has_days_in_weeks_and_marks_where_something_is_missing() -> None:
    report = report_of(record(*GAPPED), days=30, events={20: 5, 14: 7})
    drawn = traces(build_figures(report)["calendar-0"])
    days = drawn["heatmap"]
    at = dict(zip(zip(days["x"], days["y"], strict=True), days["z"], strict=True))
    assert at["2026-08-31", "Tue"] == 5, "20 days before Monday, 2026-09-21"
    assert at["2026-08-31", "Wed"] == 0, "collected, and quiet"
    assert at["2026-08-31", "Sun"] is None, "not collected, and without an event: no colour"
    assert at["2026-09-07", "Mon"] == 7, "not collected in part, with events"
    missing = drawn["not collected"]
    assert list(zip(missing["x"], missing["y"], strict=True)) == [
        ("2026-08-31", "Sun"),
        ("2026-09-07", "Mon"),
    ]
    assert (missing["marker"]["symbol"], drawn["lost for good"]["x"]) == ("x", [])


def test_a_calendar_by_the_hour_has_days_and_hours() -> None:
    days = traces(build_figures(report_of(record((3, UP_TO_NOW)), days=1, by_hour=True))["calendar-0"])["heatmap"]
    assert (days["x"][0], days["y"][0]) == ("2026-09-20", "00")
    assert len(days["x"]) == 24 + 14, "up to now, 14:00"


def test_the_timeline_has_bars_of_each_kind_from_the_start_of_the_report() -> None:
    bars = traces(build_figures(report_of(record(*GAPPED), days=20))["collected"])
    assert bars["collected"]["base"] == ["2026-09-01T00:00:00", "2026-09-07T12:00:00"]
    assert bars["collected"]["x"][0] == 5 * DAY_NS / 1e6, "milliseconds, from where the report begins"
    assert bars["not collected"]["customdata"] == ["not collected: 2026-09-06 00:00Z to 2026-09-07 12:00Z"]
    assert (bars["lost for good"]["x"], bars["before the start"]["x"], bars["reconciled"]["x"]) == ([], [], [])


def test_events_are_counted_in_the_past_alone_with_a_pattern_for_each_api() -> None:
    report = report_of(record((3, UP_TO_NOW)), days=1, by_hour=True, events={1: 4})
    bars = traces(build_figures(report)["events"])["audit"]
    assert (bars["x"][0], bars["y"][0], len(bars["x"])) == ("2026-09-20T00:00:00", 4, 24 + 14)
    patterns = {line["pattern"] for line in figures.LINE_STYLES.values()}
    assert len(patterns) == len(figures.LINE_STYLES)


def test_lags_of_a_day_or_more_are_marks_of_their_own_and_a_short_one_stands_at_a_second() -> None:
    report = report_of(record((30, UP_TO_NOW)), lags={3: 5 * 10**8, 2: DAY_NS, 1: DAY_NS - 10**9})
    drawn = traces(build_figures(report)["lag"])
    assert list(drawn) == ["audit", "audit, stored later"]
    assert drawn["audit"]["y"] == [1, 86_399]
    assert (drawn["audit, stored later"]["y"], drawn["audit, stored later"]["mode"]) == ([86_400], "markers")
    assert list(traces(build_figures(report_of(record((30, UP_TO_NOW))))["lag"])) == ["audit"]
