"""The page of `coverage --html`: charts, drawn by plotly, in one file that asks no network for anything.

What comes from outside is data: escaped in the text, and JSON without a `<` for the charts. The policy of the page
lets only its own two scripts run, by their digests, and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import TYPE_CHECKING

import plotly.graph_objects as go  # type: ignore[import-untyped]
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from blocks import clock
from blocks.coverage.advice import length, second
from blocks.coverage.gaps import DAY_NS, SOON_NS, Kind
from deployments.commands.present import minute_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.coverage.advice import Advised
    from blocks.coverage.cells import Cell
    from blocks.coverage.report import ApiReport, Report

COLOURS = {"sign-in": "#3f7fbf", "itemUsage": "#d98324", "audit": "#3f9b6b"}
COLLECTED, UNREAD, LOST, BEFORE, RECONCILED = "#3f9b6b", "#d9a400", "#cc3b3b", "#9a9a9a", "#3f7fbf"
SCALE = [[0, "#c6e5d3"], [0.5, "#5fb389"], [1, "#14603a"]]
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 80, "r": 20, "t": 34, "b": 40},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "hoverlabel": {"align": "left"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)"},
    "template": "none",
}
_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function colours() {
  const style = getComputedStyle(document.documentElement);
  return {text: style.getPropertyValue("--text").trim(), grid: style.getPropertyValue("--grid").trim()};
}
function themed(layout) {
  const {text, grid} = colours();
  layout.font.color = text;
  for (const name of Object.keys(layout)) if (/^[xy]axis/.test(name)) {
    Object.assign(layout[name], {gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickcolor: grid});
  }
  return layout;
}
const figures = JSON.parse(document.getElementById("figures").textContent);
// Without showSendToCloud: false there is a button that sends the chart to plotly's makers.
const options = {responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d"]};
function draw(react) {
  for (const [name, {data, layout}] of Object.entries(figures)) {
    Plotly[react ? "react" : "newPlot"](name, data, themed(layout), options);
  }
}
draw(false);
dark.addEventListener("change", () => draw(true));
"""
_STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --back: #ffffff; --soft: #5c5c5c; --grid: #e0e0e0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --back: #16181c; --soft: #a3a3a3; --grid: #3a3d42; }
}
body { margin: 2rem auto; max-width: 1100px; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
p { margin: .2rem 0; color: var(--soft); }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { font-weight: 600; color: var(--soft); } .n { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: 13px; overflow-wrap: anywhere; } .bad { color: #d04545; font-weight: 600; }
.warn { color: #b57f00; font-weight: 600; }
"""


def page(made: Report) -> str:
    """The whole page, as text."""
    library, figures = get_plotlyjs(), _figures(made)
    if "</script" in library.lower():
        raise ValueError("plotly's script cannot stand in a page")
    policy = (
        f"default-src 'none'; script-src {_digest(library)} {_digest(_SCRIPT)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    charts = "".join(_section(name, title, says) for name, title, says in _charts(made))
    name, unit = escape(made.name), "hour" if made.by_hour else "day"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Coverage of {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Coverage of {name}</h1>
<p>What was collected, by the {unit}, from {second(made.since_ns)[:10]} to {minute_of(made.now_ns)}; times are UTC.</p>
{_summary(made)}
<h2>Gaps</h2>
{_gaps(made)}
{charts}
<script type="application/json" id="figures">{_safe(figures)}</script>
<script>{library}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _safe(figures: dict[str, go.Figure]) -> str:
    """JSON in which nothing can end the element that it stands in."""
    text = json.dumps({name: json.loads(figure.to_json()) for name, figure in figures.items()})
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _charts(made: Report) -> list[tuple[str, str, str]]:
    unit = "hour" if made.by_hour else "day"
    calendars = [(f"calendar-{number}", f"Events of {api.api}", "") for number, api in enumerate(made.apis)]
    return [
        ("collected", "What was collected", "The thin line: what was compared with the server since, and when last."),
        *calendars,
        ("events", f"Events by the {unit}", "By the time of the events."),
        ("lag", "Event lag", _LAG.format(unit=unit)),
    ]


_LAG = (
    "How old the newest event of each hour was when it was stored; of a {unit}, the median. What a first run or a "
    "backfill has brought was stored long after it had happened."
)


def _section(name: str, title: str, says: str) -> str:
    said = f"<p>{escape(says)}</p>" if says else ""
    return f'<h2>{escape(title)}</h2>{said}<div id="{name}"></div>\n'


def _summary(made: Report) -> str:
    rows = "".join(_summary_row(api) for api in made.apis)
    titles = ("API", "collected from", "last reconciled", "events", "late", "missed", "undecided", "changed", "gaps")
    head = "".join(f"<th{' class=n' if number > 2 else ''}>{title}</th>" for number, title in enumerate(titles))  # noqa: PLR2004
    return f"<table><tr>{head}</tr>{rows}</table>"


def _summary_row(api: ApiReport) -> str:
    found, record = api.coverage, api.coverage.record
    texts = [api.api, _minute(found.first_ns) or "never read", _minute(found.reconciled_ns) or "never"]
    numbers = [sum(cell.events for cell in api.cells), record.late, record.missed, record.undecided, record.changed]
    cells = [f"<td>{escape(text)}</td>" for text in texts]
    cells += [f"<td class=n>{number:,}</td>" for number in [*numbers, len(found.holes)]]
    return f"<tr>{''.join(cells)}</tr>"


def _gaps(made: Report) -> str:
    rows = "".join(_gap_row(one) for one in made.gaps)
    return f"<table>{rows}</table>" if rows else "<p>There is none.</p>"


def _gap_row(one: Advised) -> str:
    gap, now_ns = one.gap, one.now_ns
    soon = gap.kind is not Kind.BEFORE and gap.left_ns(now_ns) < SOON_NS
    style = ' class="bad"' if soon else "" if gap.kind is Kind.BEFORE else ' class="warn"'
    what = "before the start" if gap.kind is Kind.BEFORE else gap.kind.value
    command = f"<br><code>{escape(one.command)}</code>" if one.command else ""
    span = f"{minute_of(gap.start_ns)} to {minute_of(gap.end_ns)} ({length(gap)})"
    return (
        f"<tr><td{style}>{what}</td><td>{escape(', '.join(one.apis))}</td>"
        f"<td>{span}: {escape(one.sentence)}.{command}</td></tr>"
    )


def _figures(made: Report) -> dict[str, go.Figure]:
    calendars = {f"calendar-{number}": _calendar(made, api) for number, api in enumerate(made.apis)}
    return {"collected": _timeline(made), **calendars, "events": _bars(made), "lag": _lags(made)}


def _calendar(made: Report, api: ApiReport) -> go.Figure:
    """Weeks and weekdays, or days and hours; crosses where something is missing."""
    past = [cell for cell in api.cells if cell.start_ns < made.now_ns and _is_told(cell)]
    at = [_hour_place(cell) if made.by_hour else _day_place(cell) for cell in past]
    figure = go.Figure(
        go.Heatmap(
            x=[x for x, _ in at],
            y=[y for _, y in at],
            z=[cell.events if cell.events or _is_quiet(cell) else None for cell in past],
            customdata=[_told(cell, by_hour=made.by_hour) for cell in past],
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=True,
            colorscale=SCALE,
            zmin=0,
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": "events"}, "thickness": 12},
        )
    )
    for name, colour, symbol, missing in _MARKS:
        marked = [(place, cell) for place, cell in zip(at, past, strict=True) if missing(cell)]
        figure.add_scatter(
            x=[x for (x, _), _ in marked],
            y=[y for (_, y), _ in marked],
            mode="markers",
            marker={"symbol": symbol, "color": colour, "size": 9, "line": {"color": "#ffffff", "width": 1}},
            name=name,
            hoverinfo="skip",
        )
    names = [f"{hour:02}" for hour in range(24)] if made.by_hour else list(WEEKDAYS)
    figure.update_layout(
        **LAYOUT,
        height=430 if made.by_hour else 260,
        xaxis={"type": "date", "showgrid": False, "tickformat": "%d %b"},
        yaxis={"autorange": "reversed", "tickvals": names, "type": "category", "showgrid": False}
        | {"categoryorder": "array", "categoryarray": names, "dtick": 3 if made.by_hour else 1},
    )
    return figure


_MARKS: tuple[tuple[str, str, str, Callable[[Cell], object]], ...] = (
    ("not collected", UNREAD, "x", lambda cell: cell.gap_ns),
    ("lost for good", LOST, "x", lambda cell: cell.lost_ns),
    ("before the start", BEFORE, "line-ew-open", lambda cell: cell.before_ns >= cell.whole_ns),
)


def _is_told(cell: Cell) -> bool:
    return bool(cell.events or cell.collected_ns or cell.gap_ns or cell.lost_ns or cell.before_ns)


def _is_quiet(cell: Cell) -> bool:
    return not (cell.gap_ns or cell.lost_ns or cell.before_ns)


def _day_place(cell: Cell) -> tuple[str, str]:
    weekday = (cell.start_ns // DAY_NS + 3) % 7
    return second(cell.start_ns - weekday * DAY_NS)[:10], WEEKDAYS[weekday]


def _hour_place(cell: Cell) -> tuple[str, str]:
    text = second(cell.start_ns)
    return text[:10], text[11:13]


def _told(cell: Cell, *, by_hour: bool) -> str:
    when = second(cell.start_ns)[: 13 if by_hour else 10].replace("T", " ")
    lines = [f"<b>{when}{':00' if by_hour else ''}</b>", f"{cell.events:,} events"]
    lines += [f"{clock.words(cell.gap_ns)} not collected"] if cell.gap_ns else []
    lines += [f"{clock.words(cell.lost_ns)} lost for good"] if cell.lost_ns else []
    lines += ["before the start"] if cell.before_ns >= cell.whole_ns else []
    lines += [f"reconciled {minute_of(cell.reconciled_ns)}"] if cell.reconciled_ns else []
    return "<br>".join(lines)


def _timeline(made: Report) -> go.Figure:
    """A bar of time for each API, and a thin one below it for what was reconciled."""
    figure = go.Figure()
    parts: dict[str, list[tuple[str, int, int, str]]] = {name: [] for name in _PARTS}
    for api in made.apis:
        found = api.coverage
        parts["collected"] += [(api.api, start, end, "") for start, end in found.covered]
        for gap in found.gaps:
            parts[_PART_OF[gap.kind]].append((api.api, gap.start_ns, gap.end_ns, ""))
        parts["reconciled"] += [(api.api, *one[:2], f"<br>reconciled {minute_of(one[2])}") for one in found.reconciled]
    for name, (colour, width, offset) in _PARTS.items():
        shown = [
            (api, max(start, made.since_ns), end, more) for api, start, end, more in parts[name] if end > made.since_ns
        ]
        figure.add_bar(
            y=[api for api, *_ in shown],
            base=[_moment(start) for _, start, _, _ in shown],
            x=[(end - start) / 1e6 for _, start, end, _ in shown],  # milliseconds
            orientation="h",
            width=width,
            offset=offset,
            marker={"color": colour, "line": {"width": 0}},
            name=name,
            customdata=[f"{name}: {minute_of(start)} to {minute_of(end)}{more}" for _, start, end, more in shown],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(
        **LAYOUT,
        height=110 + 60 * max(len(made.apis), 1),
        barmode="overlay",
        xaxis={"type": "date", "range": [_moment(made.since_ns), _moment(made.now_ns)]},
        yaxis={"autorange": "reversed", "type": "category"},
    )
    return figure


_PARTS = {
    "collected": (COLLECTED, 0.45, -0.35),
    "not collected": (UNREAD, 0.45, -0.35),
    "lost for good": (LOST, 0.45, -0.35),
    "before the start": (BEFORE, 0.45, -0.35),
    "reconciled": (RECONCILED, 0.12, 0.16),
}
_PART_OF = {
    Kind.GAP: "not collected",
    Kind.OPEN: "not collected",
    Kind.LOST: "lost for good",
    Kind.BEFORE: "before the start",
}


def _bars(made: Report) -> go.Figure:
    figure = go.Figure()
    for api in made.apis:
        past = [cell for cell in api.cells if cell.start_ns < made.now_ns]
        figure.add_bar(
            x=[_moment(cell.start_ns) for cell in past],
            y=[cell.events for cell in past],
            name=api.api,
            marker={"color": COLOURS.get(api.api)},
            customdata=[_told(cell, by_hour=made.by_hour) for cell in past],
            hovertemplate=f"{api.api}<br>%{{customdata}}<extra></extra>",
        )
    figure.update_layout(**LAYOUT, height=320, barmode="stack", xaxis={"type": "date"}, yaxis={"rangemode": "tozero"})
    return figure


def _lags(made: Report) -> go.Figure:
    figure = go.Figure()
    for api in made.apis:
        seen = [(cell, cell.lag_ns) for cell in api.cells if cell.lag_ns is not None]
        figure.add_scatter(
            x=[_moment(cell.start_ns) for cell, _ in seen],
            y=[max(lag_ns / 1e9, 1) for _, lag_ns in seen],
            name=api.api,
            mode="lines+markers",
            marker={"color": COLOURS.get(api.api), "size": 5},
            line={"color": COLOURS.get(api.api), "width": 1.5},
            customdata=[clock.words(lag_ns) for _, lag_ns in seen],
            hovertemplate=f"{api.api} %{{x}}<br>%{{customdata}}<extra></extra>",
        )
    ticks = {"1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": 3600, "10 h": 36_000, "4 d": 345_600}
    figure.update_layout(
        **LAYOUT,
        height=320,
        xaxis={"type": "date", "range": [_moment(made.since_ns), _moment(made.now_ns)]},
        yaxis={"type": "log", "tickvals": list(ticks.values()), "ticktext": list(ticks)},
    )
    return figure


def _moment(ns: int) -> str:
    return second(ns).removesuffix("Z")


def _minute(ns: int | None) -> str:
    return minute_of(ns) if ns is not None else ""
