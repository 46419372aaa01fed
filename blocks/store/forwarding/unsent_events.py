"""Read the events of a stream after a position, in the order of their ids, and cut them into batches to send.

Ids rise in commit order within a stream, so a reader that remembers its last id misses no event (see `inserting`). The
chain's links hold the first and last id of each committed page: they lead to the next events of a quiet stream without
a scan of all others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks import clock
from blocks.siem.formats.event import OutgoingEvent
from blocks.store.engine import first_rows, reading, store_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

HOUR_NS = 3600 * 10**9
GRACE_NS = 120 * 10**9
"""How long after an hour ends its last events may still be committed: longer than a page takes."""
LINKS = 500  # most links in one read
MOST = 2000  # most events in one read
READ_BYTES = 1_000_000
"""Most characters of bodies in one read, unless one body has more. A stream keeps at most twice that in memory."""
BODY = 4000  # characters of a body that the first read expects
CHUNK = 500  # events of an hour that are encoded together
SPAN = 4000  # most ids in the range of one read, which bounds it whatever plan PostgreSQL chooses
NEAR = 1000  # ids between two links: reading past so few costs less than a second query


@dataclass(slots=True)
class EventBatch:
    """Events of one stream, in the order of their ids. The position moves past all of them or none."""

    events: Sequence[OutgoingEvent]
    first_id: int = 0
    last_id: int = 0

    def __post_init__(self) -> None:
        self.first_id, self.last_id = self.events[0].id, self.events[-1].id

    def take(self) -> Sequence[OutgoingEvent]:
        """Return the events and drop them here: a batch that waits for others needs only its first and last id."""
        events, self.events = self.events, ()
        return events


@dataclass
class UnsentEvents:
    """A reader of the events of a stream after `after_id`, to the last one committed when it reads."""

    engine: Engine
    stream_id: int
    after_id: int
    _ranges: deque[tuple[int, int]] = field(default_factory=deque)
    _ready: deque[OutgoingEvent] = field(default_factory=deque)
    _mean: int = BODY

    def peek(self) -> OutgoingEvent | None:
        """Return the next event without removing it; None if there is none."""
        while not self._ready:
            if not self._read():
                return None
        return self._ready[0]

    def take(self) -> OutgoingEvent:
        """Remove and return the event that `peek` returned."""
        return self._ready.popleft()

    def rewind(self, after_id: int) -> None:
        """Start again after this id."""
        self.after_id = after_id
        self._ranges.clear()
        self._ready.clear()

    def _read(self) -> bool:
        if not self._ranges:
            self._ranges.extend(event_ranges(self.engine, self.stream_id, self.after_id))
        if not self._ranges:
            return False
        low, high = self._ranges.popleft()
        end = min(high, low + SPAN)
        events, is_complete = self._between(low, end)
        self.after_id = end if is_complete and len(events) < MOST else events[-1].id
        if self.after_id < high:
            self._ranges.appendleft((self.after_id, high))
        self._ready.extend(events)
        return True

    def _between(self, low: int, high: int) -> tuple[list[OutgoingEvent], bool]:
        bounds = {"stream": self.stream_id, "low": low, "high": high, "most": MOST}
        with store_errors(), reading(self.engine).connect() as connection:
            rows, is_complete = first_rows(connection, _BETWEEN, bounds, READ_BYTES, self._mean)
        events = list(starmap(OutgoingEvent, rows))
        if events:
            self._mean = sum([len(event.body) for event in events]) // len(events)
        return events, is_complete


def batches(
    events: UnsentEvents, size: int, plan: Iterable[int] = (), octets: Callable[[], int] = lambda: READ_BYTES
) -> Iterator[EventBatch]:
    """Cut the events into batches. The first ones end at the ids in `plan`, the batches of an earlier run.

    A batch has at most `size` events and ends with the event that brings its bodies to `octets()` characters; `octets`
    is called for each batch.
    """
    ends = deque(plan)
    while events.peek() is not None:
        batch = list(_take_until(events, ends.popleft())) if ends else list(_take(events, size, octets()))
        if batch:  # the events of a planned batch may have been pruned
            yield EventBatch(batch)


@dataclass
class UnsentHour:
    """Events of one stream that were received in the same hour, at most `size`. They are read while you iterate."""

    source: UnsentEvents
    size: int
    first_id: int
    hour: int
    last_id: int = 0
    count: int = 0

    def events(self) -> Iterator[Sequence[OutgoingEvent]]:
        """Yield the events in chunks. Events that you do not take come with the next UnsentHour of the same hour."""
        while self.count < self.size:
            chunk = list(_take(self._rest(), min(CHUNK, self.size - self.count), READ_BYTES))
            if not chunk:
                return
            self.count += len(chunk)
            self.last_id = chunk[-1].id
            yield chunk

    def halve(self) -> None:
        """Start again from the first event, with half as many events as were taken."""
        self.size = max(self.count // 2, 1)
        self.count = 0
        self.source.rewind(self.first_id - 1)

    def _rest(self) -> _Within:
        return _Within(self.source, self.hour)


@dataclass
class _Within:
    events: UnsentEvents
    hour: int

    def peek(self) -> OutgoingEvent | None:
        event = self.events.peek()
        return event if event is not None and event.received_ns // HOUR_NS == self.hour else None

    def take(self) -> OutgoingEvent:
        return self.events.take()


def hours(events: UnsentEvents, size: int) -> Iterator[UnsentHour]:
    """Cut the events by the hour in which they were received. The current hour waits, unless it has `size` events.

    Take events from each UnsentHour before you request the next. If you take none, the iteration ends: the next one
    would be the same, for ever.
    """
    while (first := events.peek()) is not None:
        hour = first.received_ns // HOUR_NS
        is_over = clock.now_ns() >= (hour + 1) * HOUR_NS + GRACE_NS
        if not is_over and not _is_whole(events, first.id, hour, size):
            return
        unsent = UnsentHour(events, size, first.id, hour)
        yield unsent
        if not unsent.count:
            return


def _is_whole(events: UnsentEvents, first_id: int, hour: int, size: int) -> bool:
    """Whether `size` events of the hour are stored, or an event of another hour follows. Reads no bodies."""
    bounds = {"stream": events.stream_id, "first": first_id, "size": size}
    with store_errors(), reading(events.engine).connect() as connection:
        number, oldest_ns, newest_ns = connection.execute(_RECEIVED, bounds).one()
    return bool(number >= size or oldest_ns // HOUR_NS != hour or newest_ns // HOUR_NS != hour)


def newest(engine: Engine, stream_id: int, number: int) -> list[OutgoingEvent]:
    """Return the newest `number` events of a stream by their time, oldest first."""
    query = text(
        "SELECT id, uuid, time_ns, received_ns, body FROM events WHERE stream_id = :stream "
        "ORDER BY time_ns DESC, id DESC LIMIT :number"
    )
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(query, {"stream": stream_id, "number": number}).all()
    return [OutgoingEvent(*row) for row in reversed(rows)]


def _take_until(events: UnsentEvents, end: int) -> Iterator[OutgoingEvent]:
    while (event := events.peek()) is not None and event.id <= end:
        yield events.take()


def _take(events: UnsentEvents | _Within, size: int, octets: int) -> Iterator[OutgoingEvent]:
    while size > 0 and octets > 0 and events.peek() is not None:
        event = events.take()
        size, octets = size - 1, octets - len(event.body)
        yield event


def event_ranges(engine: Engine, stream_id: int, after_id: int) -> list[tuple[int, int]]:
    """Return the ranges (after this id, up to this id) of the next events, in order. Joins ranges that are near."""
    query = (
        "SELECT number, first_id, last_id FROM chain "
        "WHERE stream_id = :stream AND last_id > :after ORDER BY last_id LIMIT :links"
    )
    with store_errors(), reading(engine).connect() as connection:
        links = connection.execute(text(query), {"stream": stream_id, "after": after_id, "links": LINKS}).all()
        ranges = []
        if not links or links[0].number == 1:
            ranges = unlinked_ranges(connection, stream_id, after_id, links[0].first_id if links else None)
    for link in links:
        if ranges and link.first_id - ranges[-1][1] <= NEAR:
            ranges[-1] = (ranges[-1][0], link.last_id)
        else:
            ranges.append((max(link.first_id - 1, after_id), link.last_id))
    return ranges


def unlinked_ranges(
    connection: Connection, stream_id: int, after_id: int, before_id: int | None
) -> list[tuple[int, int]]:
    """Return the range of events that were stored before the chain began: they have no link, and precede the first one.

    The counts show whether there are any, so that a new stream of a large store causes no scan of the whole table.
    """
    query = (
        "SELECT events + pruned - coalesce((SELECT sum(events) FROM chain WHERE stream_id = streams.id), 0) "
        "FROM streams WHERE id = :stream"
    )
    if not connection.execute(text(query), {"stream": stream_id}).scalar():
        return []
    end = before_id - 1 if before_id is not None else last_id(connection, stream_id) or 0
    return [(after_id, end)] if end > after_id else []


def first_since(connection: Connection, stream_id: int, time_ns: int) -> int | None:
    """Return the id of the first event received at `time_ns` or later, or None. A link's commit received its events."""
    values = {"stream": stream_id, "time": time_ns}
    linked = "SELECT min(first_id) FROM chain WHERE stream_id = :stream AND committed_ns >= :time"
    first: int | None = connection.execute(text(linked), values).scalar()
    chain_start = connection.execute(text(_FIRST), values).scalar()
    for low, high in unlinked_ranges(connection, stream_id, 0, chain_start):
        query = "SELECT min(id + 0) FROM events WHERE stream_id = :stream AND id > :low AND id <= :high "
        bounds = {**values, "low": low, "high": high}
        unlinked = connection.execute(text(f"{query} AND received_ns >= :time"), bounds).scalar()
        first = first if unlinked is None else unlinked
    return first


def last_id_before(connection: Connection, stream_id: int, time_ns: int) -> int | None:
    """Return the id before the first event received at `time_ns` or later; None if there is no such event."""
    first = first_since(connection, stream_id, time_ns)
    return None if first is None else first - 1


_FIRST = "SELECT first_id FROM chain WHERE stream_id = :stream AND number = 1"


def last_id(connection: Connection, stream_id: int) -> int | None:
    """Return the id of the last event of a stream without links, or None. `+ 0` scans the stream, not the table."""
    query = text("SELECT max(id + 0) FROM events WHERE stream_id = :stream")
    return connection.execute(query, {"stream": stream_id}).scalar()


# `+ 0` rules out the index on stream_id, with which either database scans the whole stream and sorts it.
_BETWEEN = text(
    "SELECT id, uuid, time_ns, received_ns, body FROM events "
    "WHERE (stream_id + 0) = :stream AND id > :low AND id <= :high ORDER BY id LIMIT :most"
)
_RECEIVED = text(
    "SELECT count(*), min(received_ns), max(received_ns) FROM (SELECT received_ns FROM events "
    "WHERE (stream_id + 0) = :stream AND id >= :first ORDER BY id LIMIT :size) AS next_events"
)
