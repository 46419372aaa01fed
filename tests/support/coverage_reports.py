"""Coverage reports at the fixed time NOW, made from collected spans. Times are given in days before MIDNIGHT."""

from __future__ import annotations

from typing import Any

from blocks.coverage.gaps import DAY_NS, HOUR_NS, Coverage, CoverageRecord, coverage
from blocks.coverage.report import Report, report

MIDNIGHT = 1_789_948_800 * 10**9  # 2026-09-21, a Monday
NOW = MIDNIGHT + 14 * HOUR_NS


def ago(days: float) -> int:
    return MIDNIGHT - int(days * DAY_NS)


def record(*spans: tuple[float, float], stream_id: int = 1, api: str = "audit", **members: Any) -> CoverageRecord:
    bounds = tuple((ago(start), ago(end)) for start, end in spans)
    first = {"read_from_ns": bounds[0][0], "drained_ns": bounds[-1][1]} if bounds else {}
    return CoverageRecord(stream_id, api, spans=bounds, **{**first, **members})


def report_of(
    *records: CoverageRecord,
    days: float = 30,
    by_hour: bool = False,
    events: dict[int, int] | None = None,
    lags: dict[int, int] | None = None,
) -> Report:
    """`events` (counts) and `lags` (ns) are those of stream 1, by days before MIDNIGHT."""
    coverages = [coverage(one, NOW) for one in records]
    counts, waits = (
        {ago(day) // HOUR_NS: number for day, number in (values or {}).items()} for values in (events, lags)
    )
    return report("1Pass", coverages, {1: counts}, {1: waits}, since_ns=ago(days), now_ns=NOW, by_hour=by_hour)


UP_TO_NOW = -14 / 24


def coverage_of(api: str, **members: Any) -> Coverage:
    return coverage(record((30, UP_TO_NOW), stream_id=2, api=api, **members), NOW)
