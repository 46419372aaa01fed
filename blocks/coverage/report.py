"""A report of a source's coverage: each API with its cells, and the gaps with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.coverage.advice import GapAdvice, advise, format_second
from blocks.coverage.cells import Cell, cells, edges
from blocks.coverage.gaps import DAY_NS, HOUR_NS, GapKind
from blocks.coverage.heatmap import calendar, hours, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.coverage.gaps import Coverage
    from blocks.coverage.heatmap import Line


@dataclass(frozen=True, slots=True)
class ApiReport:
    """One API: what was collected of it, and its cells, oldest first."""

    coverage: Coverage
    cells: list[Cell]

    @property
    def api(self) -> str:
        return self.coverage.api


@dataclass(frozen=True, slots=True)
class Report:
    """What of a source was collected from `since_ns` on, by the day or by the hour."""

    name: str
    now_ns: int
    since_ns: int
    by_hour: bool
    apis: list[ApiReport]
    whole: bool = True
    """These are all APIs of the source."""

    @property
    def gaps(self) -> list[GapAdvice]:
        """The gaps, oldest first, and the time before the start; of when ever, since there is something to do."""
        found = advise(self.name, [api.coverage for api in self.apis], whole=self.whole)
        return sorted(found, key=lambda one: one.gap.kind is GapKind.BEFORE)

    def heat_map(self, api: ApiReport) -> list[Line]:
        return (hours if self.by_hour else calendar)(api.cells, self.now_ns)


def report(
    name: str,
    coverages: Sequence[Coverage],
    counts: Mapping[int, Mapping[int, int]],
    lags: Mapping[int, Mapping[int, int]],
    *,
    since_ns: int,
    now_ns: int,
    by_hour: bool = False,
    whole: bool = True,
) -> Report:
    """The report of some APIs; `counts` and `lags` are by stream and hour since 1970."""
    bounds = edges(since_ns, now_ns, HOUR_NS if by_hour else DAY_NS)
    if by_hour:  # whole days, so that each row of the heat map has all of its hours
        bounds = edges(since_ns // DAY_NS * DAY_NS, -(-now_ns // DAY_NS) * DAY_NS, HOUR_NS)
    apis = [
        ApiReport(one, cells(one, bounds, counts.get(one.record.stream_id, {}), lags.get(one.record.stream_id)))
        for one in coverages
    ]
    return Report(name, now_ns, bounds[0], by_hour, apis, whole)


def markdown(report: Report) -> str:
    """The report for a page that shows Markdown. The name of the source is code there, so it can drive nothing."""
    since = format_second(report.since_ns)[:10]
    lines = [
        f"Source `{_code(report.name)}`, {since} to {format_second(report.now_ns)} (UTC).",
        "",
    ]
    lines += ["| API | collected from | last reconciled | events | late | missed | changed | gaps |"]
    lines += ["|---|---|---|--:|--:|--:|--:|--:|"]
    lines += [_row(api) for api in report.apis]
    for api in report.apis:
        lines += ["", f"**{api.api}**", "", "```text", plain_text(report.heat_map(api)), "```"]
    lines += ["", "`·` none, `░▒▓█` few to many, `?` not collected, `!` lost for good, `-` before the start."]
    holes = [one for one in report.gaps if one.gap.kind is not GapKind.BEFORE]
    if not holes:
        return "\n".join([*lines, "", "There is no gap."])
    lines += ["", "| gap of | from | to | | |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_gap_row(one) for one in holes])


def _row(api: ApiReport) -> str:
    found, record = api.coverage, api.coverage.record
    cells_ = (
        api.api,
        _minute(found.first_ns),
        _minute(found.reconciled_ns),
        f"{sum(cell.events for cell in api.cells):,}",
        *(f"{number:,}" for number in (record.late, record.missed, record.changed, len(found.holes))),
    )
    return f"| {' | '.join(cells_)} |"


def _gap_row(one: GapAdvice) -> str:
    command = f"`{_code(one.command)}`" if one.command else ""
    span = f"{format_second(one.gap.start_ns)} | {format_second(one.gap.end_ns)}"
    return f"| {', '.join(one.apis)} | {span} | {one.sentence} | {command} |"


def _minute(ns: int | None) -> str:
    """Short, so that the table is not wider than the UI's page."""
    return "" if ns is None else format_second(ns)[:16].replace("T", " ")


def _code(text: str) -> str:
    """Text between backquotes in a table."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown.replace("`", "'").replace("|", "\\|")
