"""The report as Markdown, for Prefect's UI."""

from __future__ import annotations

from support.coverage_reports import UP_TO_NOW, record, report_of

from blocks.coverage.report import Report, markdown


def test_markdown_can_be_driven_by_no_name() -> None:
    one = report_of(record((30, 20), (19, UP_TO_NOW)))
    nasty = Report("a`|<script>\n# x", one.now_ns, one.since_ns, one.by_hour, one.apis)
    text = markdown(nasty)
    assert "Source `a'\\|<script>\N{REPLACEMENT CHARACTER}# x`, 2026-08-22 to 2026-09-21T14:00:00Z (UTC)." in text
    row = next(line for line in text.splitlines() if line.startswith("| audit | 2026-09-01"))
    assert "`onepassword-source backfill " in row
    assert "There is no gap." in markdown(report_of(record((30, UP_TO_NOW))))
