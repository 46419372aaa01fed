"""The plan of a backfill: its windows, about how many requests, and how long they take. It makes no request."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from blocks import clock, settings
from blocks.durations import parse_span, parse_width
from blocks.events_api import rate_limit
from blocks.events_api.models import Api
from blocks.events_api.rate_limit import DOCUMENTED
from blocks.store.backfill import jobs, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.events_api.rate_limit import RateWindow
    from blocks.store.backfill.jobs import JobRequest
    from blocks.store.backfill.plan import PlannedWindow
    from blocks.store.source_status import SourceStatus

PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """A backfill before it begins. `share` of the rate limits `limits` is used; `notes` say how the span was cut."""

    wanted: JobRequest
    width_ns: int
    windows: tuple[PlannedWindow, ...]
    share: float
    limits: tuple[RateWindow, ...]
    notes: tuple[str, ...]

    @property
    def requests(self) -> int:
        """An estimate."""
        return sum(one.requests for one in self.windows)

    @property
    def known(self) -> int:
        """Events of the span that the store has."""
        return sum(one.known for one in self.windows)

    @property
    def seconds(self) -> float:
        """The shortest time that the requests take."""
        return plan.estimated_seconds(self.requests, self.limits, self.share)

    @property
    def duration(self) -> str:
        if self.seconds < 1:
            return "as fast as the server answers"
        return f"{clock.format_span(int(self.seconds * 10**9))} at least"


def make_plan(
    engine: Engine, source: SourceStatus, start: str, end: str | None, *, apis: Sequence[str], window: str
) -> BackfillPlan:
    """The plan of a backfill from `start` to before `end` (default: now), in windows of the length `window`.

    Raises ThirdPartyConfigError if the span, the APIs or the length are wrong, or there are too many windows.
    """
    span, width_ns = parse_span(start, end, clock.now_ns()), parse_width(window)
    chosen = jobs.choose_apis(apis, map(Api, source.apis))
    wanted = jobs.JobRequest(jobs.BACKFILL, source.id, chosen, span.start_ns, span.end_ns)
    windows = tuple(plan.plan(engine, wanted, width_ns, PAGE_SIZE))
    limits = rate_limit.configured()
    share, limits = settings.backfill_share(), DOCUMENTED if limits is None else limits
    return BackfillPlan(wanted, width_ns, windows, share, limits, span.notes)


class PlanLine(NamedTuple):
    """Consecutive windows that differ only in their time. `known` and `requests` are totals."""

    start_ns: int
    end_ns: int
    windows: int
    known: tuple[int, ...]
    requests: int


def group_windows(found: Sequence[PlannedWindow]) -> list[PlanLine]:
    """One line for each window, by time. Consecutive windows with the same length and counts share a line."""
    rows = [
        PlanLine(start, end, 1, tuple(one.known for one in row), sum(one.requests for one in row))
        for (start, end), group in groupby(found, key=lambda one: (one.start_ns, one.end_ns))
        for row in [list(group)]
    ]
    lines = []
    for _, group in groupby(rows, key=lambda row: (row.known, row.requests, row.end_ns - row.start_ns)):
        equal = list(group)
        known = tuple(number * len(equal) for number in equal[0].known)
        lines.append(PlanLine(equal[0].start_ns, equal[-1].end_ns, len(equal), known, equal[0].requests * len(equal)))
    return lines
