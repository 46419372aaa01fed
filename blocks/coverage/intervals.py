"""Arithmetic of half-open intervals of time, from a start to before an end, in nanoseconds since 1970.

`Spans` that functions return are sorted, do not touch each other and are never empty.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]
Spans = list[Interval]
ValuedInterval = tuple[int, int, int]
"""An interval and a value that it has."""


def union(intervals: Iterable[Interval]) -> Spans:
    """All that is in at least one of them; they may come in any order, overlap, and be empty."""
    found: Spans = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def subtract(whole: Interval, spans: Sequence[Interval]) -> Spans:
    """What of `whole` is in none of `spans`, which are sorted and do not overlap."""
    found: Spans = []
    at, until = whole
    for start, end in spans:
        if start > at:
            found.append((at, min(start, until)))
        at = max(at, end)
        if at >= until:
            break
    found.append((at, until))
    return [(start, end) for start, end in found if start < end]


def highest(painted: Iterable[ValuedInterval]) -> list[ValuedInterval]:
    """The highest value of each moment that has one: sorted, without overlap, equal neighbours made one."""
    todo = sorted(one for one in painted if one[0] < one[1])
    edges = sorted({edge for start, end, _ in todo for edge in (start, end)})
    found: list[ValuedInterval] = []
    active: list[tuple[int, int]] = []  # a heap: the value negated, and where it ends
    begun = iter(todo)
    waiting = next(begun, None)
    for at, until in pairwise(edges):
        while waiting is not None and waiting[0] <= at:
            heapq.heappush(active, (-waiting[2], waiting[1]))
            waiting = next(begun, None)
        while active and active[0][1] <= at:
            heapq.heappop(active)
        if not active:
            continue
        value = -active[0][0]
        if found and found[-1][1:] == (at, value):
            found[-1] = (found[-1][0], until, value)
        else:
            found.append((at, until, value))
    return found


def lengths(spans: Sequence[Interval], edges: Sequence[int]) -> list[int]:
    """How much of each cell lies in `spans`; the cells are what is between two neighbours of the sorted `edges`."""
    found = [0] * (len(edges) - 1)
    for cell, start, end, _ in _by_cell([(start, end, 0) for start, end in spans], edges):
        found[cell] += end - start
    return found


def lowest(painted: Sequence[ValuedInterval], spans: Sequence[Interval], edges: Sequence[int]) -> list[int | None]:
    """The lowest value within each cell, of those cells all of whose part of `spans` has one; else None."""
    wanted = lengths(spans, edges)
    there = [0] * len(wanted)
    found: list[int | None] = [None] * len(wanted)
    for cell, start, end, value in _by_cell(_of_both(painted, spans), edges):
        there[cell] += end - start
        found[cell] = value if found[cell] is None else min(value, found[cell] or 0)
    return [
        value if length and length == full else None for value, length, full in zip(found, there, wanted, strict=True)
    ]


def _of_both(painted: Sequence[ValuedInterval], spans: Sequence[Interval]) -> list[ValuedInterval]:
    found: list[ValuedInterval] = []
    first = 0
    for start, end, value in painted:
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        for span in spans[first:]:
            if span[0] >= end:
                break
            found.append((max(start, span[0]), min(end, span[1]), value))
    return found


def _by_cell(painted: Sequence[ValuedInterval], edges: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """The number of each cell that an interval lies in, and which part of it does."""
    first = 0
    for start, end, value in painted:
        while first < len(edges) - 1 and edges[first + 1] <= start:
            first += 1
        for cell in range(first, len(edges) - 1):
            if edges[cell] >= end:
                break
            low, high = max(start, edges[cell]), min(end, edges[cell + 1])
            if low < high:
                yield cell, low, high, value
