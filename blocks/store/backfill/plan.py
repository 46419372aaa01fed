"""What a backfill would read, estimated from the store before any request."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from blocks.store.backfill.jobs import spans_of
from blocks.store.engine import reading, store_errors
from blocks.store.tables import EventRow, StreamRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.events_api.rate_limit import RateWindow
    from blocks.store.backfill.jobs import JobRequest

_events = table_of(EventRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """A window of one API. `known`: events of its span that the store has; `requests`: an estimate of its requests.

    If no event is known, the mean of the API's other windows is used as the estimate.
    """

    api: str
    start_ns: int
    end_ns: int
    known: int
    requests: int


def plan(engine: Engine, job: JobRequest, width_ns: int, page_size: int) -> list[PlannedWindow]:
    """The windows of a backfill, oldest first; it changes nothing and makes no request.

    Raises ThirdPartyConfigError if there are too many.
    """
    spans = spans_of(job, width_ns)
    known = {api: _known(engine, job, api, width_ns) for api in job.apis}
    mean = {api: sum(counts.values()) / len(counts) if counts else 0.0 for api, counts in known.items()}
    return [
        PlannedWindow(
            api, start, end, known[api].get(at, 0), max(ceil((known[api].get(at) or mean[api]) / page_size), 1)
        )
        for at, (start, end) in enumerate(spans)
        for api in job.apis
    ]


def estimated_seconds(requests: int, windows: tuple[RateWindow, ...], share: float) -> float:
    """The minimum duration of so many requests, in seconds, if they use `share` of the rate-limit windows."""
    return max((max(requests / (one.requests * share) - 1, 0) * one.seconds for one in windows), default=0.0)


def _known(engine: Engine, wanted: JobRequest, api: str, width_ns: int) -> dict[int, int]:
    part = (_events.c.time_ns - wanted.start_ns) // width_ns
    query = (
        select(part, func.count())
        .join(_streams, _streams.c.id == _events.c.stream_id)
        .where(
            _streams.c.source_id == wanted.source_id,
            _streams.c.api == api,
            _events.c.time_ns >= wanted.start_ns,
            _events.c.time_ns < wanted.end_ns,
        )
        .group_by(part)
    )
    with store_errors(), reading(engine).connect() as connection:
        return {int(at): count for at, count in connection.execute(query).all()}
