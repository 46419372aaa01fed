"""The coverage of the last 120 days of each source as a strip. Each is kept for a few minutes, because it is costly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from blocks import clock
from blocks.coverage.gaps import KEPT_NS
from blocks.store import coverage_record

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.coverage.cells import Cell
    from blocks.coverage.report import Report

FRESH_NS = 120 * 10**9
SOURCES_MAX = 2000


class Strip(NamedTuple):
    """The kind of each day (`lost`, `gap`, `full`, `before`), and how many gaps there are."""

    days: tuple[str, ...]
    gaps: int


class CoverageStrips:
    """Computes strips, and keeps each for two minutes."""

    def __init__(self) -> None:
        self._strips: dict[str, tuple[int, Strip]] = {}
        self._lock = threading.Lock()

    def strip(self, engine: Engine, source_id: str, name: str) -> Strip:
        """Raises SourceError if the store does not answer."""
        now_ns = clock.now_ns()
        with self._lock:
            kept = self._strips.get(source_id)
        if kept is not None and abs(now_ns - kept[0]) < FRESH_NS:
            return kept[1]
        strip = compute_strip(coverage_record.report_of(engine, source_id, name, now_ns - KEPT_NS))
        with self._lock:
            self._strips[source_id] = now_ns, strip
            while len(self._strips) > SOURCES_MAX:
                del self._strips[next(iter(self._strips))]
        return strip


def compute_strip(made: Report) -> Strip:
    """The worst of all APIs on each day."""
    days = [
        "lost" if any(cell.lost_ns for cell in day) else "gap" if any(cell.gap_ns for cell in day) else _quiet(day)
        for day in zip(*(api.cells for api in made.apis), strict=True)
    ]
    holes = {(gap.start_ns, gap.end_ns) for api in made.apis for gap in api.coverage.holes}
    return Strip(tuple(days), len(holes))


def _quiet(day: tuple[Cell, ...]) -> str:
    return "full" if any(cell.collected_ns or cell.events for cell in day) else "before"
