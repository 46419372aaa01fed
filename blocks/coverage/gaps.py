"""The gaps of an API: the past that was not collected. From the record of what was read, never from the events.

A quiet API has no gap because of that, and an API that was not read has a gap however many events are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from blocks.coverage.intervals import Interval, Spans, ValuedInterval, highest, subtract, union
from blocks.durations import DAYS_MAX

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
KEPT_NS = DAYS_MAX * DAY_NS
KNOWN_NS = 125 * DAY_NS
"""Windows are forgotten after that (`blocks.store.backfill.windows`), so older gaps cannot be known."""
COLLECTING_NS = 30 * 60 * SECOND_NS
"""An API that was read this lately is being collected: six ticks of the schedule, so a run that reads for long, or
one that waits for its next attempt, is no gap yet. `status` calls a source late after three."""
LATE_NS = {"itemUsage": DAY_NS}
"""How late events may come: item usages up to a day (a client sends them when it next syncs)."""
LATE_OTHERWISE_NS = HOUR_NS
"""The server makes sign-ins and audit events itself, and promises no time; collectors were seen to lose what came ten
minutes late, so an hour."""
SOON_NS = 14 * DAY_NS
"""A gap is warned of when so little time is left to close it."""


class GapKind(StrEnum):
    """What kind of time without collection it is."""

    GAP = "gap"
    """Live collection does not read it. A backfill does."""
    OPEN = "open"
    """From the last complete drain until now: live collection closes it once it continues."""
    LOST = "lost"
    """Not collected, and deleted by 1Password."""
    BEFORE = "before"
    """Before the start of the source: never requested, so it is no gap. A backfill can still read it."""


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """A window of a backfill or of a reconcile that was read to its end. Nanoseconds since 1970."""

    start_ns: int
    end_ns: int
    begun_ns: int
    done_ns: int
    reconcile: bool = False


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """What the store has of the collection of one API. Times are nanoseconds since 1970.

    `spans` is what live collection has read. `stopped` says why nothing collects it, where that is so on purpose:
    `stopped`, `deleted`, or `unsupported` (it is not in the source's supported_apis).
    """

    stream_id: int
    api: str
    read_from_ns: int | None = None
    drained_ns: int | None = None
    progress_ns: int | None = None
    spans: tuple[Interval, ...] = ()
    windows: tuple[ReadWindow, ...] = ()
    stopped: str = ""
    events: int = 0
    late: int = 0
    missed: int = 0
    undecided: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of one API that was not collected. 1Password drops it between `dropped_from_ns` and `dropped_by_ns`."""

    kind: GapKind
    start_ns: int
    end_ns: int

    @property
    def dropped_from_ns(self) -> int:
        return self.start_ns + KEPT_NS

    @property
    def dropped_by_ns(self) -> int:
        return self.end_ns + KEPT_NS

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns

    def left_ns(self, now_ns: int) -> int:
        """How long its oldest moment can still be had; 0 where it is gone."""
        return max(self.dropped_from_ns - now_ns, 0) if self.kind is not GapKind.LOST else 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of one API was collected. `reconciled` has for each moment when that was last compared with the server."""

    record: CoverageRecord
    now_ns: int
    first_ns: int | None
    """Where collection began; None where nothing was ever read."""
    collecting: bool
    covered: Spans = field(default_factory=list)
    gaps: tuple[Gap, ...] = ()
    reconciled: list[ValuedInterval] = field(default_factory=list)

    @property
    def api(self) -> str:
        return self.record.api

    @property
    def reconciled_ns(self) -> int | None:
        """When any of it was last reconciled."""
        return max((done for _, _, done in self.reconciled), default=None)

    @property
    def holes(self) -> tuple[Gap, ...]:
        """The gaps without the time before the start, which is none."""
        return tuple(gap for gap in self.gaps if gap.kind is not GapKind.BEFORE)


def coverage(record: CoverageRecord, now_ns: int) -> Coverage:
    """What was collected of an API up to now, and what was not."""
    read = [(one, (one.start_ns, _settled_ns(record.api, one))) for one in record.windows]
    covered = union([*record.spans, *(span for _, span in read)])
    first_ns = _first_ns(record, covered)
    reconciled = highest([(*span, one.done_ns) for one, span in read if one.reconcile])
    collecting = now_ns - max(record.drained_ns or 0, record.progress_ns or 0) <= COLLECTING_NS
    gaps = sorted(
        [*_before(first_ns, now_ns), *_holes(record, covered, first_ns, now_ns, collecting=collecting)],
        key=lambda gap: gap.start_ns,
    )
    return Coverage(record, now_ns, first_ns, collecting, covered, tuple(gaps), reconciled)


def _settled_ns(api: str, window: ReadWindow) -> int:
    """Up to where all events had come when the window was read."""
    return min(window.end_ns, window.begun_ns - LATE_NS.get(api, LATE_OTHERWISE_NS))


def _first_ns(record: CoverageRecord, covered: Spans) -> int | None:
    starts = [start for start, _ in covered[:1]]
    if record.read_from_ns is not None:
        starts.append(record.read_from_ns)
    return min(starts, default=None)


def _before(first_ns: int | None, now_ns: int) -> list[Gap]:
    start_ns, end_ns = now_ns - KEPT_NS, now_ns if first_ns is None else min(first_ns, now_ns)
    return [Gap(GapKind.BEFORE, start_ns, end_ns)] if start_ns < end_ns else []


def _holes(record: CoverageRecord, covered: Spans, first_ns: int | None, now_ns: int, *, collecting: bool) -> list[Gap]:
    if first_ns is None:
        return []
    edge_ns = min(_edge_ns(record, covered), now_ns)
    found = [(GapKind.GAP, span) for span in subtract((first_ns, edge_ns), covered)]
    if not collecting:
        found += [(GapKind.OPEN, span) for span in subtract((edge_ns, now_ns), covered)]
    known = [(kind, (max(start, now_ns - KNOWN_NS), end)) for kind, (start, end) in found]
    return [part for kind, span in known for part in _cut(kind, span, now_ns - KEPT_NS)]


def _edge_ns(record: CoverageRecord, covered: Spans) -> int:
    """The time from which on the cursor delivers what is missing."""
    live = [end for _, end in record.spans]
    if record.read_from_ns is not None:
        live.append(record.read_from_ns)
    return max(live, default=covered[-1][1] if covered else 0)


def _cut(kind: GapKind, span: Interval, oldest_ns: int) -> list[Gap]:
    """A gap of which 1Password has dropped a part already is two."""
    start, end = span
    at = min(max(start, oldest_ns), end)
    parts = [Gap(GapKind.LOST, start, at), Gap(kind, at, end)]
    return [part for part in parts if part.start_ns < part.end_ns]
