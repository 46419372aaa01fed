"""Small charts as numbers for SVG elements: the templates draw them, without a script and without inline styles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Bar(NamedTuple):
    """A bar: its place and size in the units of the chart, its value, and its class."""

    x: float
    y: float
    width: float
    height: float
    value: float
    kind: str = ""


def spark(counts: Sequence[float], width: float = 120, height: float = 24) -> list[Bar]:
    """One bar for each count, relative to the largest. A count above zero is at least a pixel high."""
    largest = max(counts, default=0)
    step = width / max(len(counts), 1)
    bars = []
    for place, count in enumerate(counts):
        tall = max(count / largest * height, 1.0) if largest and count else 0.0
        bars.append(Bar(round(place * step, 2), round(height - tall, 2), round(step * 0.8, 2), round(tall, 2), count))
    return bars


def strip(kinds: Iterable[str], width: float = 120, height: float = 10) -> list[Bar]:
    """Equal cells side by side; neighbours of one kind are one bar."""
    found = list(kinds)
    step = width / max(len(found), 1)
    bars: list[Bar] = []
    for place, kind in enumerate(found):
        if bars and bars[-1].kind == kind:
            bars[-1] = bars[-1]._replace(width=round(bars[-1].width + step, 3), value=bars[-1].value + 1)
        else:
            bars.append(Bar(round(place * step, 3), 0, round(step, 3), height, 1, kind))
    return bars


def spans(
    parts: Iterable[tuple[int, int, str]], since_ns: int, until_ns: int, width: float = 600, height: float = 16
) -> list[Bar]:
    """Spans of time (start, end, kind) from left to right, cut to the time shown; at least a pixel wide."""
    whole = max(until_ns - since_ns, 1)
    bars = []
    for start_ns, end_ns, kind in parts:
        left, right = max(start_ns, since_ns), min(end_ns, until_ns)
        if left < right:
            x, wide = (left - since_ns) / whole * width, (right - left) / whole * width
            bars.append(Bar(round(x, 2), 0, round(max(wide, 1.0), 2), height, right - left, kind))
    return bars
