"""The histogram of a search as bars: how long each bucket is, and where its bar stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from blocks.store.search.query import EARLIEST_NS, LATEST_NS

if TYPE_CHECKING:
    from blocks.store.search.counts import Histogram

SECOND_NS = 10**9
STEPS_NS = tuple(
    seconds * SECOND_NS
    for seconds in (
        *(1, 5, 15, 30, 60, 300, 900, 1800),
        *(hours * 3600 for hours in (1, 3, 6, 12, 24, 48)),
        *(days * 86_400 for days in (7, 14, 28, 84, 364, 3640)),
    )
)
"""Lengths of a bucket."""
BUCKETS = 80
WIDTH, HEIGHT = 960.0, 96.0


class HistogramBar(NamedTuple):
    """A bucket: its time from and to (ns since 1970), its events, whether it was counted, and its bar."""

    since_ns: int
    until_ns: int
    events: int
    is_counted: bool
    x: float
    y: float
    width: float
    height: float


def bucket_ns(since_ns: int, until_ns: int) -> int:
    """The shortest of `STEPS_NS` that needs at most BUCKETS buckets. The longest is enough for all times there are."""
    span_ns = until_ns - since_ns
    return next(step for step in STEPS_NS if span_ns <= step * BUCKETS)


def fitted_span(span: tuple[int, int], ends: tuple[int, int] | None) -> tuple[int, int] | None:
    """The span of a search, where it is open cut to the first and the last event; None if nothing is left."""
    since_ns, until_ns = span
    if since_ns == EARLIEST_NS or until_ns == LATEST_NS:
        if ends is None:
            return None
        since_ns = max(since_ns, ends[0])
        until_ns = min(until_ns, ends[1] + 1)
    return (since_ns, until_ns) if since_ns < until_ns else None


def bars(histogram: Histogram) -> list[HistogramBar]:
    """The bars from left to right, relative to the largest. A count above zero is at least two pixels high."""
    largest = max(histogram.counts, default=0)
    step = WIDTH / max(len(histogram.counts), 1)
    found = []
    for place, count in enumerate(histogram.counts):
        since_ns = histogram.since_ns + place * histogram.bucket_ns
        tall = max(count / largest * HEIGHT, 2.0) if count else 0.0
        found.append(
            HistogramBar(
                since_ns,
                since_ns + histogram.bucket_ns,
                count,
                since_ns >= histogram.counted_from_ns,
                round(place * step, 2),
                round(HEIGHT - tall, 2),
                round(step * 0.86, 2),
                round(tall, 2),
            )
        )
    return found
