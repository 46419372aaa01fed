"""Columns and bars of the page Insight as numbers for SVG elements; the templates draw them, with a table beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blocks.store.insight.day_counts import DAY_NS
from deployments.terminal_output import format_rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 720, 160
KINDS_MAX = 6
"""Colours of a stacked chart; the rest share the last one."""
LABELS = 6


class Block(NamedTuple):
    """A part of a column: its place and size in the units of the chart, and its kind: a number from 1."""

    x: float
    y: float
    width: float
    height: float
    kind: int


class Column(NamedTuple):
    """A column of a chart: its blocks, its span of time (ns since 1970), and what it shows on hover."""

    blocks: list[Block]
    x: float
    width: float
    since_ns: int
    until_ns: int
    label: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


class Chart(NamedTuple):
    """Stacked columns, the names of the kinds, the largest total, and times below the chart at equal distances."""

    columns: list[Column]
    names: list[str]
    largest: int
    labels: list[str]
    size: tuple[int, int] = (WIDTH, HEIGHT)


def stack(rows: Sequence[tuple[int, tuple[int, ...]]], names: Sequence[str], bucket_ns: int) -> Chart:
    """A chart of counts over time: each row has the start of its bucket and a count for each name."""
    merged = [(start, _merge(counts)) for start, counts in rows]
    shown = list(names[:KINDS_MAX]) if len(names) <= KINDS_MAX else [*names[: KINDS_MAX - 1], "others"]
    largest = max((sum(counts) for _, counts in merged), default=0)
    step = WIDTH / max(len(merged), 1)
    columns = [
        Column(
            _blocks(counts, place * step, step, largest),
            round(place * step, 2),
            round(step, 2),
            start,
            start + bucket_ns,
            f"{_time(start, bucket_ns)}: {_words(counts, shown)}",
            counts,
        )
        for place, (start, counts) in enumerate(merged)
    ]
    return Chart(columns, shown, largest, _labels(columns, bucket_ns))


def share(events: int, largest: int, width: float = 100) -> float:
    """The length of a bar beside a number: at least a unit, so that it is seen."""
    return round(max(events / largest * width, 1.0), 1) if largest and events else 0.0


def _merge(counts: tuple[int, ...]) -> tuple[int, ...]:
    if len(counts) <= KINDS_MAX:
        return counts
    return (*counts[: KINDS_MAX - 1], sum(counts[KINDS_MAX - 1 :]))


def _blocks(counts: tuple[int, ...], x: float, step: float, largest: int) -> list[Block]:
    blocks, below = [], 0.0
    for kind, count in enumerate(counts, 1):
        if count:
            tall = count / largest * HEIGHT
            y = HEIGHT - below - tall
            blocks.append(Block(round(x + step * 0.1, 2), round(y, 2), round(step * 0.8, 2), round(tall, 2), kind))
            below += tall
    return blocks


def _words(counts: tuple[int, ...], names: Sequence[str]) -> str:
    named = [f"{count:,} {name}" for count, name in zip(counts, names, strict=False) if count]
    return ", ".join(named) or "none"


def _time(ns: int, bucket_ns: int) -> str:
    text = (format_rfc3339(ns) or "").replace("T", " ")
    return text[:10] if bucket_ns >= DAY_NS else f"{text[:16]} UTC"


def _labels(columns: Sequence[Column], bucket_ns: int) -> list[str]:
    """The times of the first column, of the last, and of some at equal distances between them."""
    last, steps = len(columns) - 1, min(len(columns), LABELS) - 1
    places = [round(place * last / steps) for place in range(steps + 1)] if steps > 0 else range(len(columns))
    return [_time(columns[place].since_ns, bucket_ns).removesuffix(" UTC")[5:] for place in places]
