"""What the pages show of sources: read for all of them at once, so that 500 take a few statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock
from blocks.store import source_status, sources
from blocks.store.forwarding import forward_status
from blocks.store.source_health import health, health_since_ns, judged_sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

    from blocks.store.forwarding.forward_status import PairStatus
    from blocks.store.source_status import SourceStatus

ORDER = ("in error", "not running", "retrying", "not run yet", "healthy", "stopped", "deleted")
"""What needs attention comes first."""
KINDS = {
    "healthy": "good",
    "in error": "bad",
    "not running": "bad",
    "retrying": "warn",
    "not run yet": "idle",
    "stopped": "idle",
    "deleted": "idle",
}
"""The class of each health: its colour and its icon."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source as a row: times and lags in nanoseconds."""

    source: SourceStatus
    hourly: tuple[int, ...]
    last_day: int
    pairs: tuple[PairStatus, ...]

    @property
    def health(self) -> str:
        return health(self.source)

    @property
    def kind(self) -> str:
        return KINDS[self.health]

    @property
    def since_ns(self) -> int | None:
        return health_since_ns(self.source)

    @property
    def success_ns(self) -> int | None:
        """The last complete drain of the API whose drain is oldest; None if one was never drained."""
        drained = [stream.drained_ns for stream in self.source.streams if stream.api in self.source.apis]
        known = [one for one in drained if one is not None]
        return min(known) if known and len(known) == len(drained) else None

    @property
    def event_lag_ns(self) -> int | None:
        return max((one.lag_ns for one in self.source.streams if one.lag_ns is not None), default=None)

    @property
    def collector_lag_ns(self) -> int | None:
        return max(
            (one.collector_lag_ns for one in self.source.streams if one.collector_lag_ns is not None), default=None
        )

    @property
    def events(self) -> int:
        return sum(one.events for one in self.source.streams)

    @property
    def waiting(self) -> int:
        return sum(api.waiting for pair in self.pairs for api in pair.positions)

    @property
    def pairs_in_error(self) -> int:
        return sum(pair.in_error for pair in self.pairs)

    @property
    def reason(self) -> str:
        """Why its health is as it is, and what to do; the worst condition, or the message of the last run."""
        if self.source.open:
            return self.source.open[0].sentence
        return self.source.message or ("No run has begun yet." if self.health == "not run yet" else "")


def source_rows(engine: Engine, *, with_deleted: bool = False) -> list[SourceRow]:
    """All sources, what needs attention first."""
    return _rows(engine, judged_sources(engine, with_deleted=with_deleted), forward_status.pairs(engine))


def find_row(engine: Engine, source_id: str) -> SourceRow | None:
    """The source of that id, deleted or not; None if there is none."""
    name = sources.name_of(engine, source_id)
    if name is None:
        return None
    rows = _rows(engine, judged_sources(engine, name), forward_status.pairs(engine, source=name))
    return next((row for row in rows if row.source.id == source_id), None)


def _rows(engine: Engine, statuses: list[SourceStatus], stored_pairs: Iterable[PairStatus]) -> list[SourceRow]:
    counts = source_status.event_counts(
        engine, (stream for source in statuses for stream in source.streams), clock.now_ns()
    )
    pairs: dict[str, list[PairStatus]] = {}
    for pair in stored_pairs:
        pairs.setdefault(pair.source_id, []).append(pair)
    rows = [_row(source, counts, pairs.get(source.id, ())) for source in statuses]
    return sorted(rows, key=lambda row: (ORDER.index(row.health), row.source.name))


def _row(source: SourceStatus, counts: dict[int, source_status.EventCounts], pairs: Iterable[PairStatus]) -> SourceRow:
    paces = [counts[stream.id] for stream in source.streams]
    hourly = tuple(sum(hour) for hour in zip(*(pace.hourly for pace in paces), strict=True))
    return SourceRow(source, hourly, sum(pace.last_day for pace in paces), tuple(pairs))
