"""The coverage page: its texts and tables, what it escapes, and the scripts that its policy allows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest
from support.coverage_reports import MIDNIGHT, NOW, UP_TO_NOW, ago, record, report_of

from blocks.coverage.gaps import DAY_NS, CoverageRecord, ReadWindow
from deployments.commands.coverage_page import page
from deployments.commands.coverage_page.figures import build_figures
from deployments.commands.coverage_page.page import render_page

if TYPE_CHECKING:
    from blocks.coverage.report import Report

# The report is of Monday, 2026-09-21; the 6th and half of the 7th were not collected.
GAPPED = ((22.0, 15.0), (13.5, UP_TO_NOW))
WHOLE = ((119.9, UP_TO_NOW),)
PLOTLY = "plotly('<b>')"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script in place of plotly's five megabytes."""
    monkeypatch.setattr(page, "get_plotlyjs", lambda: PLOTLY)


def rows(document: str, table: int) -> list[list[str]]:
    """The texts of the cells of a table, row by row."""
    whole = re.findall(r"<table.*?</table>", document, re.DOTALL)[table]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", whole)]
    return [[unescape(cell) for cell in row] for row in found]


def gaps(report: Report) -> list[tuple[str, ...]]:
    """Class, title, text and command of each gap."""
    pattern = r'<h3 class="(.*?)">(.*?)</h3>\n<p>(.*?)</p>\n(?:<p><code>(.*?)</code></p>)?'
    return [tuple(map(unescape, one)) for one in re.findall(pattern, render_page(report))]


def test_the_page_says_of_whom_and_of_when_it_is() -> None:
    document = render_page(report_of(record(*GAPPED), days=20))
    assert "<title>Coverage of 1Pass</title>" in document
    assert (
        "<p>What was collected, by the day, from 2026-09-01 to 2026-09-21 14:00Z. "
        "Times are UTC, dates are year-month-day.</p>"
    ) in document
    assert document.startswith("<!doctype html>\n")
    assert document.endswith("</html>\n")
    hourly = render_page(report_of(record(*GAPPED), days=1, by_hour=True))
    assert "<p>What was collected, by the hour, from 2026-09-20 to 2026-09-21 14:00Z." in hourly
    assert "for a hour, the median" in hourly
    assert "for a day, the median" in document


def test_each_api_has_a_row_of_its_numbers() -> None:
    window = ReadWindow(ago(20), ago(18), begun_ns=ago(10), done_ns=ago(9.5), reconcile=True)
    counted = {"late": 1234, "missed": 2, "undecided": 3, "changed": 4}
    read = record(*GAPPED, windows=(window,), **counted)
    report = report_of(read, CoverageRecord(2, "sign-in"), events={20: 1200, 14: 34})
    header, *found = rows(render_page(report), 0)
    assert header == [
        "API", "collected from", "last reconciled", "events", "late", "missed", "undecided", "changed", "gaps",
    ]  # fmt: skip
    assert found == [
        ["audit", "2026-08-30 00:00Z", "2026-09-11 12:00Z", "1,234", "1,234", "2", "3", "4", "1"],
        ["sign-in", "never read", "never", "0", "0", "0", "0", "0", "0"],
    ]


def test_numbers_are_aligned_as_numbers() -> None:
    document = render_page(report_of(record(*GAPPED)))
    assert re.findall(r'<th scope="col"( class="n")?>', document)[:9] == [*[""] * 3, *[' class="n"'] * 6]
    assert re.findall(r'<td( class="n")? data-title="([^"]*)">', document)[:3] == [
        ("", "collected from"),
        ("", "last reconciled"),
        (' class="n"', "events"),
    ]


def test_a_gap_has_its_kind_its_span_and_the_command_that_closes_it() -> None:
    gap, before = gaps(report_of(record(*GAPPED)))
    assert gap == (
        "warn",
        "gap: audit",
        "2026-09-06 00:00Z to 2026-09-07 12:00Z (36 h): 104 days left, then 1Password drops it.",
        "onepassword-source backfill 1Pass --start 2026-09-06T00:00:00Z --end 2026-09-07T12:00:00Z",
    )
    assert before[:2] == ("", "before the start: audit")
    assert before[2].startswith("2026-05-24 14:00Z to 2026-08-30 00:00Z (97 d): ")


def test_apis_that_share_a_gap_share_its_title() -> None:
    both = gaps(report_of(record(*GAPPED), record(*GAPPED, stream_id=2, api="sign-in")))
    assert [title for _, title, *_ in both] == ["gap: audit, sign-in", "before the start: audit, sign-in"]


@pytest.mark.parametrize(("left_ns", "severity"), [(14 * DAY_NS - 1, "bad"), (14 * DAY_NS, "warn")])
def test_a_gap_of_which_little_time_is_left_is_bad(left_ns: int, severity: str) -> None:
    start_ns = NOW - 120 * DAY_NS + left_ns
    spans = ((NOW - 119 * DAY_NS, start_ns), (start_ns + DAY_NS, NOW))
    read = CoverageRecord(1, "audit", spans[0][0], NOW, spans=spans)
    assert [one[:2] for one in gaps(report_of(read))] == [(severity, "gap: audit"), ("", "before the start: audit")]


def test_what_is_lost_has_no_command() -> None:
    lost = gaps(report_of(record((124, 123), (110, UP_TO_NOW))))[0]
    assert (lost[0], lost[1], lost[3]) == ("bad", "lost: audit", "")
    assert lost[2].endswith("lost: 1Password has it no longer.")


def test_a_source_that_collects_no_more_has_an_open_gap() -> None:
    (found,) = gaps(report_of(CoverageRecord(1, "audit", ago(121), ago(2), spans=((ago(121), ago(2)),))))
    assert (found[0], found[1]) == ("warn", "open: audit")
    assert found[2].startswith("2026-09-19 00:00Z to 2026-09-21 14:00Z (3 d): not collected since; ")


def test_without_gaps_the_page_says_so() -> None:
    document = render_page(report_of(CoverageRecord(1, "audit", ago(121), NOW, spans=((ago(121), NOW),))))
    assert "<p>There are no gaps.</p>" in document
    assert "<h3" not in document


def test_each_chart_has_its_place_and_its_title() -> None:
    document = render_page(report_of(record(*GAPPED), record(*GAPPED, stream_id=2, api="sign-in")))
    found = re.findall(r"<h2>([^<]*)</h2>\n(?:<p>([^<]*)</p>\n)?</figcaption>\n<div id=\"([^\"]*)\"", document)
    assert [(name, title) for title, _, name in found] == [
        ("collected", "What was collected"),
        ("calendar-0", "Events of audit"),
        ("calendar-1", "Events of sign-in"),
        ("events", "Events by the day"),
        ("lag", "Event lag"),
    ]
    assert [bool(caption) for _, caption, _ in found] == [True, False, False, True, True]


def test_the_numbers_are_in_a_table_newest_first() -> None:
    window = ReadWindow(ago(20), ago(18), begun_ns=ago(10), done_ns=ago(9.5), reconcile=True)
    report = report_of(
        record(*GAPPED, windows=(window,)),
        record(*WHOLE, stream_id=2, api="sign-in"),
        days=21,
        events={14: 7, 3: 1200, 1: 5},
        lags={3: 90 * 10**9, 1: 0},
    )
    header, *found = rows(render_page(report), 1)
    assert header == ["day", "API", "events", "event lag", "missing", "reconciled"]
    assert found == [
        ["2026-09-20", "audit", "5", "0 s", "", ""],
        ["2026-09-18", "audit", "1,200", "90 s", "", ""],
        ["2026-09-07", "audit", "7", "", "12 h not collected", ""],
        ["2026-09-06", "audit", "0", "", "24 h not collected", ""],
        ["2026-09-02", "audit", "0", "", "", "2026-09-11 12:00Z"],
        ["2026-09-01", "audit", "0", "", "", "2026-09-11 12:00Z"],
    ]


def test_hours_to_come_have_no_row() -> None:
    at_eight_tonight = -20 / 24  # by a clock that is ahead
    read = CoverageRecord(1, "audit", ago(5), MIDNIGHT, spans=((ago(5), MIDNIGHT),))
    report = report_of(read, days=0, by_hour=True, events={at_eight_tonight: 3})  # type: ignore[dict-item]
    _, *found = rows(render_page(report), 1)
    assert [row[0] for row in found] == [f"2026-09-21 {hour:02d}:00" for hour in range(13, -1, -1)]
    assert {row[4] for row in found} == {"60 min not collected"}


def test_the_policy_allows_the_two_scripts_of_the_page_alone() -> None:
    document = render_page(report_of(record(*GAPPED)))
    figures, library, script = re.findall(r"<script[^>]*>(.*?)</script>", document, re.DOTALL)
    assert library == PLOTLY, "as it is: its digest is in the policy"
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (library, script)]
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', document)
    assert unescape(policy) == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    assert json.loads(figures) == json.loads(json.dumps(build_figures(report_of(record(*GAPPED)))))


def test_no_name_can_drive_the_page() -> None:
    report = replace(report_of(record(*GAPPED)), name="</script><b>&amp;")
    document = render_page(report)
    assert document.count("<b>") == 1, "that of the library"
    assert "<h1>Coverage of &lt;/script&gt;&lt;b&gt;&amp;amp;</h1>" in document
    assert "<code>onepassword-source backfill &#39;&lt;/script&gt;" in document


def test_the_figures_cannot_end_their_element() -> None:
    report = report_of(record(*GAPPED))
    assert set(json.dumps(build_figures(report))) >= set("<>"), "plotly's texts have tags"
    (figures,) = re.findall(r'id="figures">(.*?)</script>', render_page(report), re.DOTALL)
    assert not set(figures) & set("<>&")


@pytest.mark.parametrize("tag", ["</script>", "</SCRIPT >"])
def test_a_library_that_would_end_its_element_is_refused(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "get_plotlyjs", lambda: f"a('{tag}')")
    with pytest.raises(ValueError, match=r"^plotly's script cannot be embedded in a page: it has a </script> tag$"):
        render_page(report_of(record(*GAPPED)))
