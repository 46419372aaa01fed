"""The page of `coverage --html`: charts drawn by plotly, in one file that needs no network.

Data from outside is escaped in the text, and is JSON without a `<` for the charts. The page's Content-Security-Policy
allows only its two scripts, by their digests, and loads nothing. A table has the numbers of the charts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from blocks import clock
from blocks.coverage.advice import format_length, format_second
from blocks.coverage.gaps import SOON_NS, GapKind
from deployments.commands.coverage_page.figures import build_figures, cell_label, missing_spans
from deployments.terminal_output import format_minute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.coverage.advice import GapAdvice
    from blocks.coverage.report import ApiReport, Report

TEMPLATES = Path(__file__).parent
COLUMNS = ("API", "collected from", "last reconciled", "events", "late", "missed", "undecided", "changed", "gaps")
NUMBERS_FROM = 3
"""The first of `COLUMNS` that holds numbers."""
LAG = (
    "The age of the newest event of each hour when it was stored; for a {unit}, the median. Diamonds: stored more than "
    "a day after the event, as in a first run or a backfill."
)


def render_page(report: Report) -> str:
    """The page as HTML."""
    library, script = get_plotlyjs(), (TEMPLATES / "page.js").read_text(encoding="utf-8")
    if "</script" in library.lower():
        raise ValueError("plotly's script cannot be embedded in a page: it has a </script> tag")
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template(
        "page.html"
    ).render(
        policy=_policy(library, script),
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of ours
        library=Markup(library),  # noqa: S704 - plotly's own
        script=Markup(script),  # noqa: S704 - a file of ours
        figures=Markup(_script_json(build_figures(report))),  # noqa: S704 - it cannot end its element
        name=report.name,
        unit=_unit(report),
        since=format_second(report.since_ns)[:10],
        now=format_minute(report.now_ns),
        summary=_summary(report),
        gaps=[_gap(one) for one in report.gaps],
        charts=_charts(report),
        numbers=list(_numbers(report)),
    )


def _policy(*scripts: str) -> str:
    digests = " ".join(map(_digest, scripts))
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _script_json(figures: dict[str, Any]) -> str:
    """JSON that cannot end its <script> element."""
    text = json.dumps(figures)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _unit(made: Report) -> str:
    return "hour" if made.by_hour else "day"


def _charts(made: Report) -> list[dict[str, str]]:
    unit = _unit(made)
    calendars = [(f"calendar-{number}", f"Events of {api.api}", "") for number, api in enumerate(made.apis)]
    charts = [
        ("collected", "What was collected", "The thin line: what was compared with the server since, and when."),
        *calendars,
        ("events", f"Events by the {unit}", "By the time of the events."),
        ("lag", "Event lag", LAG.format(unit=unit)),
    ]
    return [{"name": name, "title": title, "caption": caption} for name, title, caption in charts]


def _summary(made: Report) -> dict[str, Any]:
    columns = [{"title": title, "number": number >= NUMBERS_FROM} for number, title in enumerate(COLUMNS)]
    return {"columns": columns, "rows": [_summary_row(api) for api in made.apis]}


def _summary_row(api: ApiReport) -> list[str]:
    found, record = api.coverage, api.coverage.record
    events = sum(cell.events for cell in api.cells)
    numbers = [events, record.late, record.missed, record.undecided, record.changed, len(found.holes)]
    times = [_minute(found.first_ns) or "never read", _minute(found.reconciled_ns) or "never"]
    return [api.api, *times, *(f"{number:,}" for number in numbers)]


def _gap(one: GapAdvice) -> dict[str, str]:
    gap = one.gap
    is_before = gap.kind is GapKind.BEFORE
    is_soon = not is_before and gap.left_ns(one.now_ns) < SOON_NS
    return {
        "severity": "bad" if is_soon else "" if is_before else "warn",
        "kind": "before the start" if is_before else gap.kind.value,
        "apis": ", ".join(one.apis),
        "span": f"{format_minute(gap.start_ns)} to {format_minute(gap.end_ns)} ({format_length(gap)})",
        "sentence": one.sentence,
        "command": one.command,
    }


def _numbers(made: Report) -> Iterator[dict[str, str]]:
    """A row for each API and day or hour that has events, gaps or a reconcile."""
    rows = [(cell, api.api) for api in made.apis for cell in api.cells if cell.start_ns < made.now_ns]
    for cell, api in sorted(rows, key=lambda row: row[0].start_ns, reverse=True):
        missing = ", ".join(missing_spans(cell))
        if cell.events or missing or cell.reconciled_ns:
            yield {
                "when": cell_label(cell, by_hour=made.by_hour),
                "api": api,
                "events": f"{cell.events:,}",
                "lag": "" if cell.lag_ns is None else clock.format_span(cell.lag_ns),
                "missing": missing,
                "reconciled": _minute(cell.reconciled_ns),
            }


def _minute(ns: int | None) -> str:
    return format_minute(ns) if ns is not None else ""
