"""The charts of the page. A colour is the name of a CSS variable in page.css, because it depends on the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks import clock
from blocks.coverage.advice import format_second
from blocks.coverage.gaps import DAY_NS, GapKind
from deployments.terminal_output import format_minute

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.coverage.cells import Cell
    from blocks.coverage.report import ApiReport, Report

DELAYED_NS = DAY_NS
"""Item usages arrive up to a day late. Events stored later than that came with a first run or a backfill."""
DAY_MILLISECONDS = 86_400_000
DATE, MINUTE = "%Y-%m-%d", "%Y-%m-%d %H:%M"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LINE_STYLES: dict[str, dict[str, Any]] = {
    # Lines that coincide stay visible: later ones are thinner, and each has its own marks.
    "sign-in": {"colour": "--sign-in", "width": 6, "size": 11, "dash": "solid", "symbol": "circle", "pattern": ""},
    "itemUsage": {"colour": "--item-usage", "width": 3, "size": 8, "dash": "solid", "symbol": "square", "pattern": "/"},
    "audit": {"colour": "--audit", "width": 1.5, "size": 6, "dash": "dot", "symbol": "triangle-up", "pattern": "."},
}
SCALE = ((0, "--few"), (0.5, "--some"), (1, "--many"))
Figure = dict[str, Any]
"""`data` and `layout`, as plotly.js takes them."""


def build_figures(report: Report) -> dict[str, Figure]:
    """The data and layout of each chart, by the id of its HTML element."""
    calendars = {f"calendar-{number}": _calendar(report, api) for number, api in enumerate(report.apis)}
    return {"collected": _timeline(report), **calendars, "events": _event_counts(report), "lag": _event_lags(report)}


def cell_label(cell: Cell, *, by_hour: bool) -> str:
    """`2026-09-21`, or `2026-09-21 14:00`."""
    when = format_second(cell.start_ns)[: 13 if by_hour else 10].replace("T", " ")
    return f"{when}:00" if by_hour else when


def missing_spans(cell: Cell) -> list[str]:
    """What is missing in a cell, in words."""
    missing = [f"{clock.format_span(cell.gap_ns)} not collected"] if cell.gap_ns else []
    missing += [f"{clock.format_span(cell.lost_ns)} lost for good"] if cell.lost_ns else []
    return missing + (["before the start"] if cell.before_ns >= cell.whole_ns else [])


def _layout(height: int, left: int = 80, **members: Any) -> dict[str, Any]:
    """`left`: the width of the labels at the left, in pixels."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--text"},
        "margin": {"l": left, "r": 20, "t": 34, "b": 40},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        "hoverlabel": {"align": "left"},
        "template": "none",
        "height": height,
        **members,
    }


def _dates(**members: Any) -> dict[str, Any]:
    """A time axis whose dates are year-month-day, like all dates of the page."""
    formats = [
        {"dtickrange": [None, 86_400_000 - 1], "value": "%H:%M\n%Y-%m-%d"},
        {"dtickrange": [86_400_000, None], "value": DATE},
    ]
    return {"type": "date", "tickformatstops": formats, "hoverformat": MINUTE, "tickangle": 0, "nticks": 8, **members}


def _calendar(made: Report, api: ApiReport) -> Figure:
    """Weeks and weekdays, or days and hours; marks where something is missing."""
    past = [cell for cell in api.cells if cell.start_ns < made.now_ns and _is_shown(cell)]
    at = [_hour_place(cell) if made.by_hour else _day_place(cell) for cell in past]
    events = {
        "type": "heatmap",
        "x": [x for x, _ in at],
        "y": [y for _, y in at],
        "z": [cell.events if cell.events or _is_quiet(cell) else None for cell in past],
        "customdata": [_hover_text(cell, by_hour=made.by_hour) for cell in past],
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": True,
        "colorscale": SCALE,
        "zmin": 0,
        "xgap": 2,
        "ygap": 2,
        "colorbar": {"title": {"text": "events", "side": "right"}, "orientation": "h", "thickness": 8, "len": 0.5}
        | {"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "ypad": 34, "nticks": 3, "tickangle": 0},
    }
    names = [f"{hour:02}" for hour in range(24)] if made.by_hour else list(WEEKDAYS)
    days = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": names,
        "tickvals": names[:: 3 if made.by_hour else 1],
    }
    layout = _layout(
        500 if made.by_hour else 320,
        left=40,
        xaxis=_dates(showgrid=False),
        yaxis={**days, "autorange": "reversed", "showgrid": False},
    )
    layout["margin"]["b"] = 90  # the scale of the colours
    return {"data": [events, *(_marks(mark, past, at) for mark in MARKS)], "layout": layout}


def _marks(mark: Mark, past: list[Cell], at: list[tuple[str, str]]) -> dict[str, Any]:
    name, colour, symbol, is_meant = mark
    marked = [place for place, cell in zip(at, past, strict=True) if is_meant(cell)]
    return {
        "type": "scatter",
        "x": [x for x, _ in marked],
        "y": [y for _, y in marked],
        "mode": "markers",
        "marker": {"symbol": symbol, "color": colour, "size": 9, "line": {"color": "--mark", "width": 1}},
        "name": name,
        "hoverinfo": "skip",
    }


Mark = tuple[str, str, str, "Callable[[Cell], object]"]
MARKS: tuple[Mark, ...] = (
    ("not collected", "--unread", "x", lambda cell: cell.gap_ns),
    ("lost for good", "--lost", "cross", lambda cell: cell.lost_ns),
    ("before the start", "--before", "line-ew-open", lambda cell: cell.before_ns >= cell.whole_ns),
)


def _is_shown(cell: Cell) -> bool:
    return bool(cell.events or cell.collected_ns or cell.gap_ns or cell.lost_ns or cell.before_ns)


def _is_quiet(cell: Cell) -> bool:
    return not (cell.gap_ns or cell.lost_ns or cell.before_ns)


def _day_place(cell: Cell) -> tuple[str, str]:
    weekday = (cell.start_ns // DAY_NS + 3) % 7  # 1970 began on a Thursday
    return format_second(cell.start_ns - weekday * DAY_NS)[:10], WEEKDAYS[weekday]


def _hour_place(cell: Cell) -> tuple[str, str]:
    text = format_second(cell.start_ns)
    return text[:10], text[11:13]


def _hover_text(cell: Cell, *, by_hour: bool) -> str:
    lines = [f"<b>{cell_label(cell, by_hour=by_hour)}</b>", f"{cell.events:,} events", *missing_spans(cell)]
    lines += [f"reconciled {format_minute(cell.reconciled_ns)}"] if cell.reconciled_ns else []
    return "<br>".join(lines)


def _timeline(made: Report) -> Figure:
    """A bar for each API, and a thin bar below it for the reconciled spans."""
    parts: dict[str, list[tuple[str, int, int, str]]] = {name: [] for name in BAR_STYLES}
    for api in made.apis:
        found = api.coverage
        parts["collected"] += [(api.api, start, end, "") for start, end in found.covered]
        for gap in found.gaps:
            parts[BAR_OF_KIND[gap.kind]].append((api.api, gap.start_ns, gap.end_ns, ""))
        parts["reconciled"] += [
            (api.api, *one[:2], f"<br>reconciled {format_minute(one[2])}") for one in found.reconciled
        ]
    layout = _layout(
        120 + 60 * max(len(made.apis), 1),
        barmode="overlay",
        xaxis=_dates(range=[_plotly_time(made.since_ns), _plotly_time(made.now_ns)]),
        yaxis={"autorange": "reversed", "type": "category"},
    )
    return {"data": [_span_bars(name, spans, made.since_ns) for name, spans in parts.items()], "layout": layout}


def _span_bars(name: str, spans: list[tuple[str, int, int, str]], since_ns: int) -> dict[str, Any]:
    colour, pattern, width, offset = BAR_STYLES[name]
    shown = [(api, max(start, since_ns), end, more) for api, start, end, more in spans if end > since_ns]
    return {
        "type": "bar",
        "y": [api for api, *_ in shown],
        "base": [_plotly_time(start) for _, start, _, _ in shown],
        "x": [(end - start) / 1e6 for _, start, end, _ in shown],  # milliseconds
        "orientation": "h",
        "width": width,
        "offset": offset,
        "marker": {"color": colour, "line": {"width": 0}, "pattern": {"shape": pattern, "size": 6}},
        "name": name,
        "customdata": [
            f"{name}: {format_minute(start)} to {format_minute(end)}{more}" for _, start, end, more in shown
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


BAR_STYLES = {
    "collected": ("--collected", "", 0.45, -0.35),
    "not collected": ("--unread", "/", 0.45, -0.35),
    "lost for good": ("--lost", "x", 0.45, -0.35),
    "before the start": ("--before", ".", 0.45, -0.35),
    "reconciled": ("--reconciled", "", 0.12, 0.16),
}
"""Colour, pattern, width and offset of a bar within the row of its API."""
BAR_OF_KIND = {
    GapKind.GAP: "not collected",
    GapKind.OPEN: "not collected",
    GapKind.LOST: "lost for good",
    GapKind.BEFORE: "before the start",
}


def _event_counts(made: Report) -> Figure:
    layout = _layout(320, left=60, barmode="stack", xaxis=_dates(), yaxis={"rangemode": "tozero"})
    return {"data": [_count_bars(api, made) for api in made.apis], "layout": layout}


def _count_bars(api: ApiReport, made: Report) -> dict[str, Any]:
    past, line = [cell for cell in api.cells if cell.start_ns < made.now_ns], LINE_STYLES[api.api]
    return {
        "type": "bar",
        "x": [_plotly_time(cell.start_ns) for cell in past],
        "y": [cell.events for cell in past],
        "name": api.api,
        "marker": {"color": line["colour"], "pattern": {"shape": line["pattern"], "size": 6}},
        "customdata": [_hover_text(cell, by_hour=made.by_hour) for cell in past],
        "hovertemplate": f"{api.api}<br>%{{customdata}}<extra></extra>",
    }


def _event_lags(made: Report) -> Figure:
    ticks = {"1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": 3600, "10 h": 36_000, "4 d": 345_600}
    layout = _layout(
        340,
        left=60,
        xaxis=_dates(range=[_plotly_time(made.since_ns), _plotly_time(made.now_ns)]),
        yaxis={"type": "log", "tickvals": list(ticks.values()), "ticktext": list(ticks)},
    )
    live = [_lag_line(api, made) for api in made.apis]
    delayed = [_delayed_marks(api, made) for api in made.apis]
    return {"data": [*live, *(one for one in delayed if one["x"])], "layout": layout}


def _lag_line(api: ApiReport, made: Report) -> dict[str, Any]:
    line = LINE_STYLES[api.api]
    seen = [cell for cell in api.cells if cell.lag_ns is not None and cell.lag_ns < DELAYED_NS]
    return {
        **_lag_points(api, seen, made),
        "name": api.api,
        "mode": "lines+markers",
        "marker": {"color": line["colour"], "size": line["size"], "symbol": line["symbol"]},
        "line": {"color": line["colour"], "width": line["width"], "dash": line["dash"]},
    }


def _delayed_marks(api: ApiReport, made: Report) -> dict[str, Any]:
    line = LINE_STYLES[api.api]
    seen = [cell for cell in api.cells if cell.lag_ns is not None and cell.lag_ns >= DELAYED_NS]
    return {
        **_lag_points(api, seen, made),
        "name": f"{api.api}, stored later",
        "mode": "markers",
        "marker": {"color": line["colour"], "size": line["size"] + 2, "symbol": "diamond-open"},
    }


def _lag_points(api: ApiReport, seen: list[Cell], made: Report) -> dict[str, Any]:
    about = [f"{cell_label(cell, by_hour=made.by_hour)}<br>{clock.format_span(cell.lag_ns or 0)}" for cell in seen]
    return {
        "type": "scatter",
        "x": [_plotly_time(cell.start_ns) for cell in seen],
        "y": [max((cell.lag_ns or 0) / 1e9, 1) for cell in seen],
        "customdata": about,
        "hovertemplate": f"{api.api} %{{customdata}}<extra></extra>",
    }


def _plotly_time(ns: int) -> str:
    return format_second(ns).removesuffix("Z")
