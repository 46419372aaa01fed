"""One line for each source, or for each pair of source and SIEM, if there are too many for details."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from blocks import clock
from deployments.terminal_output import OUT, format_age, printable, severity_style

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blocks.store.forwarding.forward_status import PairStatus
    from blocks.store.source_status import EventCounts, OpenCondition, SourceStatus

DETAILED_MAX = 5
"""Up to this many are shown in detail."""
COLUMNS = ("source", "state", "since", "worst condition", "last 24 h", "lag", "SIEMs")
PAIR_COLUMNS = ("SIEM", "source", "state", "sent", "waiting", "oldest", "rejected")
NUMBERS = ("last 24 h", "events", "sent", "waiting", "rejected")
SHRINKABLE = ("source", "SIEM", "worst condition", "name", "APIs", "base URL")
"""The columns that a narrow terminal cuts; other columns are never cut."""
GAP_CELLS, LEAST = 2, 6


def urgency(health: str) -> int:
    """The rank of a health in the list: what needs attention comes first."""
    order = ("in error", "not running", "retrying", "not run yet", "healthy", "stopped", "deleted")
    return order.index(health) if health in order else 0


def source_row(
    source: SourceStatus,
    health: tuple[str, str],
    since_ns: int | None,
    paces: Iterable[EventCounts],
    forwards: Sequence[PairStatus],
) -> tuple[Text, ...]:
    """The cells of a source's line. `health` is the word and its style."""
    lags = [stream.lag_ns for stream in source.streams if stream.lag_ns is not None]
    return (
        Text(printable(source.name), "bold"),
        Text(*health),
        Text(format_age(since_ns)),
        _worst_cell(source.open),
        Text(f"{sum(pace.last_day for pace in paces):,}"),
        Text(clock.format_span(max(lags)) if lags else ""),
        _siem_cell(forwards),
    )


def summary(states: Iterable[str], subject: str) -> str:
    """The count of each state, in the given order: `500 sources: 3 in error`."""
    counts = Counter(states)
    return f"{counts.total():,} {subject}: {', '.join(f'{number:,} {state}' for state, number in counts.items())}."


def pair_row(pair: PairStatus, style: str) -> tuple[Text, ...]:
    """The cells of a pair's line."""
    waiting = sum(api.waiting for api in pair.positions)
    oldest = min((api.oldest_ns for api in pair.positions if api.oldest_ns is not None), default=None)
    rejected = sum(api.rejected for api in pair.positions)
    return (
        Text(printable(pair.siem), "bold"),
        Text(printable(pair.source)),
        Text(pair.state, style),
        Text(f"{sum(api.sent for api in pair.positions):,}"),
        Text(f"{waiting:,}" if waiting else ""),
        Text(format_age(oldest)),
        Text(f"{rejected:,}" if rejected else "", "yellow"),
    )


def build_table(titles: Sequence[str], lines: Iterable[Sequence[Text]]) -> Table:
    """One terminal line for each row, at any width. Elsewhere nothing is cut."""
    rows = list(lines)
    if OUT.is_terminal:
        titles, rows = _without_empty(titles, rows)
    widths = _widths(titles, rows) if OUT.is_terminal else {}
    made = Table(box=None, pad_edge=False, padding=(0, GAP_CELLS, 0, 0))
    for title in titles:
        justify = "right" if title in NUMBERS else "left"
        made.add_column(
            title,
            justify=justify,  # type: ignore[arg-type]
            header_style="dim",
            no_wrap=True,
            overflow="ellipsis" if OUT.is_terminal else "fold",
            width=widths.get(title),
        )
    for cells in rows:
        made.add_row(*cells)
    return made


def _without_empty(titles: Sequence[str], rows: Sequence[Sequence[Text]]) -> tuple[list[str], list[Sequence[Text]]]:
    """If the terminal is too narrow for all columns, leave out those that are empty in every row."""
    needed = sum(
        GAP_CELLS + max([cell_len(title), *(row[place].cell_len for row in rows)]) for place, title in enumerate(titles)
    )
    shown = [place for place in range(len(titles)) if needed <= OUT.width or any(row[place] for row in rows)]
    return [titles[place] for place in shown], [[row[place] for place in shown] for row in rows]


def _widths(titles: Sequence[str], rows: Sequence[Sequence[Text]]) -> dict[str, int]:
    """The width of each column that can be cut: the room that the others leave, source names first."""
    needed = {
        title: max([cell_len(title), *(row[place].cell_len for row in rows)]) for place, title in enumerate(titles)
    }
    left = (
        OUT.width - GAP_CELLS * len(titles) - sum(width for title, width in needed.items() if title not in SHRINKABLE)
    )
    found: dict[str, int] = {}
    cut = [title for title in titles if title in SHRINKABLE]
    for place, title in enumerate(cut, start=1):
        found[title] = max(min(needed[title], left - LEAST * (len(cut) - place)), LEAST)
        left -= found[title]
    return found


def _worst_cell(conditions: Sequence[OpenCondition]) -> Text:
    """The first condition, and how many more there are."""
    if not conditions:
        return Text()
    api = conditions[0].tracker.partition("/")[2]
    name = " ".join(filter(None, (conditions[0].name, printable(api))))
    more = f" +{len(conditions) - 1}" if len(conditions) > 1 else ""
    return Text(f"{name}{more}", severity_style(conditions[0].severity))


def _siem_cell(forwards: Sequence[PairStatus]) -> Text:
    """How many of the SIEMs wait or are in error; empty for a source without SIEMs."""
    if not forwards:
        return Text()
    errors = sum(one.in_error for one in forwards)
    waiting = sum(any(api.waiting for api in one.positions) for one in forwards)
    if errors:
        return Text(f"{errors}/{len(forwards)} error", "bold red")
    return Text(f"{waiting}/{len(forwards)} wait" if waiting else "ok", "yellow" if waiting else "")
