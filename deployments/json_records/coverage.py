"""Records of what was collected and what is read again: `coverage`, `backfill`, `reconcile`."""

from __future__ import annotations

from typing import TypedDict

from deployments.json_records.values import ApiName, Count, Seconds, Time


class SpanRecord(TypedDict):
    """A span that was collected."""

    start: Time
    end: Time


class GapRecord(TypedDict):
    """A span that was not collected."""

    kind: str
    start: Time
    end: Time
    seconds: Seconds
    dropped_from: Time
    dropped_by: Time
    days_left: float
    command: str | None


class CellRecord(TypedDict):
    """A day or an hour."""

    start: Time
    events: Count
    collected_seconds: Seconds
    gap_seconds: Seconds
    lost_seconds: Seconds
    before_seconds: Seconds
    reconciled: Time | None
    lag_seconds: float | None


class ApiCoverageRecord(TypedDict):
    """The coverage of one API."""

    api: ApiName
    collecting: bool
    collected_from: Time | None
    collected: list[SpanRecord]
    last_reconciled: Time | None
    events: Count
    late: Count
    missed: Count
    undecided: Count
    changed: Count
    gaps: list[GapRecord]
    cells: list[CellRecord]


class CoverageRecord(TypedDict):
    """The coverage of a source."""

    source: str
    source_id: str
    now: Time
    since: Time
    unit: str
    kept_days: int
    apis: list[ApiCoverageRecord]


class WindowRecord(TypedDict):
    """A window of a plan."""

    api: ApiName
    start: Time
    end: Time
    known: Count
    requests: Count


class PlanRecord(TypedDict):
    """The plan of a backfill."""

    windows: list[WindowRecord]
    requests: Count
    seconds: Seconds
    notes: list[str]


class JobCountsRecord(TypedDict, total=False):
    """What a job has read; empty if the run ended before it had a job."""

    source_id: str
    job: str
    start: Time
    end: Time
    windows_total: Count
    windows_done: Count
    read: Count
    new: Count
    known: Count
    quarantined: Count
    changed: Count


class JobRecord(JobCountsRecord):
    """The outcome of a backfill or of a reconcile. `changed` is there after a reconcile only."""

    source: str
    state: str
    message: str
    in_error: bool
