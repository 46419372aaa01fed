"""`onepassword-source coverage`: what was collected, when it was last reconciled, and what is missing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from blocks import clock
from blocks.coverage import heatmap
from blocks.coverage.advice import command_for, format_length, format_second
from blocks.coverage.gaps import DAY_NS, KEPT_NS, SOON_NS, GapKind
from blocks.errors import ThirdPartyConfigError
from blocks.store import coverage_record as stored
from blocks.store import source_status
from deployments.commands.support.options import APIS, TIMES, Apis, Json, Name, parse_time_option
from deployments.commands.support.output_file import output_file
from deployments.terminal_output import (
    OUT,
    format_minute,
    format_rfc3339,
    join_styled,
    print_fitting,
    print_indented,
    print_json,
    print_line,
    print_note,
    printable,
)

if TYPE_CHECKING:
    from blocks.coverage.advice import GapAdvice
    from blocks.coverage.cells import Cell
    from blocks.coverage.gaps import Gap
    from blocks.coverage.heatmap import Line
    from blocks.coverage.report import ApiReport, Report
    from blocks.store.source_status import SourceStatus
    from deployments.json_records.coverage import ApiCoverageRecord, CellRecord, CoverageRecord, GapRecord

HOURS_SHOWN_NS = 7 * DAY_NS
STYLES = {
    "level1": "color(22)",
    "level2": "color(28)",
    "level3": "color(34)",
    "level4": "color(40)",
    "quiet": "dim",
    "gap": "bold yellow",
    "lost": "bold red",
    "before": "dim",
    "label": "dim",
}
COLUMNS = ("API", "from", "reconciled", "events", "late", "missed", "undecided", "changed")
TITLES = {
    GapKind.GAP: "gap",
    GapKind.OPEN: "open",
    GapKind.LOST: "lost",
    GapKind.BEFORE: "before the start",
}


@dataclass(frozen=True)
class CoverageOptions:
    """The options of the command line."""

    name: str
    apis: tuple[str, ...]
    since: str | None
    hours: bool
    html: Path | None
    as_json: bool


DETAILS = """
Each gap shows how long 1Password still keeps the missing events, and the command that fetches them. The page of --html
can be read by its owner only (mode 0600).
"""


def command(
    name: Name,
    api: Apis = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From this time on: 30d, a date, or RFC 3339. Default: 120d, with --hours 7d.",
            show_default=False,
        ),
    ] = None,
    hours: Annotated[bool, typer.Option("--hours", help="By the hour instead of by the day.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a page with charts. It needs no network.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the report, or write it as a page. Raises ThirdPartyConfigError with all problems of the options."""
    options = CoverageOptions(name, tuple(api or ()), since, hours, html, as_json)
    since_ns = _since_ns(options)
    with source_status.opened_store() as engine:
        source = source_status.sources(engine, options.name)[0]
        made = stored.report_of(
            engine,
            source.id,
            source.name,
            since_ns,
            apis=options.apis,
            by_hour=options.hours,
            with_lags=options.html is not None or options.as_json,
        )
    if options.html is not None:
        _write_page(made, options.html)
    if options.as_json:
        print_json(report_as_json(made, source))
    elif options.html is None:
        _show(made)


def _since_ns(options: CoverageOptions) -> int:
    """The start of the report, in ns since 1970."""
    problems: list[str] = []
    now_ns = clock.now_ns()
    since_ns = now_ns - (HOURS_SHOWN_NS if options.hours else KEPT_NS)
    if unknown := [api for api in options.apis if api not in APIS]:
        problems.append(f"--api takes {', '.join(APIS)}, not {', '.join(map(repr, unknown))}")
    try:
        since_ns = parse_time_option("--since", options.since) or since_ns
    except ThirdPartyConfigError as error:
        problems.append(error.message.rstrip("."))
    if since_ns >= now_ns:
        problems.append("--since is in the future")
    if options.hours and since_ns < now_ns - KEPT_NS:
        problems.append("--hours shows 120 days at most")
    if problems:
        hint = f"Use {TIMES}." if any("--since" in problem for problem in problems) else ""
        raise ThirdPartyConfigError(f"{'; '.join(problems)}.", hint=hint, code="usage")
    return since_ns


def _write_page(made: Report, path: Path) -> None:
    from deployments.commands.coverage_page.page import render_page  # noqa: PLC0415 - plotly, which only a page needs

    text = render_page(made)
    if str(path) == "-":
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        sys.stdout.write(text)
        return
    with output_file(path, "--html") as file:
        file.write(text)
    print_note(f"The page was written to {path}; only you can read it.")


def _show(made: Report) -> None:
    unit = "hour" if made.by_hour else "day"
    print_line(
        join_styled(
            (made.name, "bold"), (f"coverage by the {unit} since {format_second(made.since_ns)[:10]}, in UTC", "")
        )
    )
    if not made.apis:
        print_indented("The source collects none of these APIs.", 2)
        return
    print_line("")
    print_fitting(_table(made))
    for api in made.apis:
        print_line("")
        print_line(Text(api.api, "bold"))
        for line in made.heat_map(api):
            _print_cells(line)
    print_line("")
    _print_cells(heatmap.legend())
    _show_gaps(made)


def _table(made: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        left = title in COLUMNS[:3]
        table.add_column(title, justify="left" if left else "right", header_style="dim", no_wrap=True)
    for api in made.apis:
        found, record = api.coverage, api.coverage.record
        table.add_row(
            api.api,
            _date(found.first_ns) or "never read",
            _date(found.reconciled_ns) or "never",
            f"{sum(cell.events for cell in api.cells):,}",
            f"{record.late:,}",
            Text(f"{record.missed:,}", "bold red" if record.missed else ""),
            f"{record.undecided:,}",
            f"{record.changed:,}",
        )
    return table


def _show_gaps(made: Report) -> None:
    gaps = made.gaps
    print_line("")
    if not any(one.gap.kind is not GapKind.BEFORE for one in gaps):
        print_line("There are no gaps.")
    for one in gaps:
        gap = one.gap
        style = (
            "" if gap.kind is GapKind.BEFORE else "bold red" if gap.kind is GapKind.LOST or _is_soon(one) else "yellow"
        )
        span = f"{format_minute(gap.start_ns)} to {format_minute(gap.end_ns)}  {format_length(gap)}"
        print_line(join_styled((TITLES[gap.kind], style), (span, "")))
        print_indented(f"{', '.join(one.apis)}: {one.sentence}.", 2)
        if one.command:
            # The terminal breaks it, not this program, so that it can be copied as one line.
            OUT.print(Text(f"  {printable(one.command)}", "bold"), soft_wrap=True)


def _is_soon(one: GapAdvice) -> bool:
    return one.gap.left_ns(one.now_ns) < SOON_NS


def _print_cells(line: Line) -> None:
    text = Text()
    for part, style in line:
        text.append(part, STYLES.get(style, ""))
    text.rstrip()
    OUT.print(text, no_wrap=True, crop=False, overflow="ignore")


def _date(ns: int | None) -> str:
    return format_second(ns)[:10] if ns is not None else ""


def report_as_json(report: Report, source: SourceStatus) -> CoverageRecord:
    """The report with times in RFC 3339 and lengths in seconds."""
    return {
        "source": report.name,
        "source_id": source.id,
        "now": format_rfc3339(report.now_ns),
        "since": format_rfc3339(report.since_ns),
        "unit": "hour" if report.by_hour else "day",
        "kept_days": KEPT_NS // DAY_NS,
        "apis": [_api_as_json(report, api) for api in report.apis],
    }


def _api_as_json(made: Report, api: ApiReport) -> ApiCoverageRecord:
    found, record = api.coverage, api.coverage.record
    return {
        "api": api.api,
        "collecting": found.collecting,
        "collected_from": format_rfc3339(found.first_ns),
        "collected": [{"start": format_rfc3339(start), "end": format_rfc3339(end)} for start, end in found.covered],
        "last_reconciled": format_rfc3339(found.reconciled_ns),
        "events": sum(cell.events for cell in api.cells),
        "late": record.late,
        "missed": record.missed,
        "undecided": record.undecided,
        "changed": record.changed,
        "gaps": [_gap_as_json(made, api, gap) for gap in found.gaps],
        "cells": [_cell_as_json(cell) for cell in api.cells if cell.start_ns < made.now_ns],
    }


def _gap_as_json(made: Report, api: ApiReport, gap: Gap) -> GapRecord:
    left_ns = gap.left_ns(made.now_ns)
    return {
        "kind": gap.kind.value,
        "start": format_rfc3339(gap.start_ns),
        "end": format_rfc3339(gap.end_ns),
        "seconds": _seconds(gap.length_ns),
        "dropped_from": format_rfc3339(gap.dropped_from_ns),
        "dropped_by": format_rfc3339(gap.dropped_by_ns),
        "days_left": round(left_ns / DAY_NS, 2),
        "command": command_for(gap, made.name, (api.api,), api.coverage.record.stopped) or None,
    }


def _cell_as_json(cell: Cell) -> CellRecord:
    return {
        "start": format_rfc3339(cell.start_ns),
        "events": cell.events,
        "collected_seconds": _seconds(cell.collected_ns),
        "gap_seconds": _seconds(cell.gap_ns),
        "lost_seconds": _seconds(cell.lost_ns),
        "before_seconds": _seconds(cell.before_ns),
        "reconciled": format_rfc3339(cell.reconciled_ns),
        "lag_seconds": None if cell.lag_ns is None else round(cell.lag_ns / 1e9, 3),
    }


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 3)
