"""The events of a stream behind a position, in the order of their ids, in portions that are sent on.

Ids rise in commit order within a stream, so whoever has read up to an id misses nothing (see `inserting`). The chain's
links say which ids a committed page has: that finds the next ones of a quiet stream without a look at all others.
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
"""How long after the end of an hour an event of it may still be committed: longer than a page takes."""
LINKS = 500  # links that are looked up at once
MOST = 2000  # events that are read at once
READ_BYTES = 1_000_000
"""Characters of bodies that are read at once, or one body: a stream keeps no more of them in memory than twice that."""
BODY = 4000  # expected characters of a body, before any was read
CHUNK = 500  # events of an hour that are encoded at once
SPAN = 4000  # ids that are looked at for them: no more, however PostgreSQL plans it
NEAR = 1000  # ids between two links that cost less to pass over than another question


@dataclass(slots=True)
class EventBatch:
    """Events of one stream, in the order of their ids, of which the position moves behind all or none."""

    events: Sequence[OutgoingEvent]
    first_id: int = 0
    last_id: int = 0

    def __post_init__(self) -> None:
        self.first_id, self.last_id = self.events[0].id, self.events[-1].id

    def take(self) -> Sequence[OutgoingEvent]:
        """The events, which are not kept here: what waits for those before it needs its ends only."""
        events, self.events = self.events, ()
        return events


@dataclass
class UnsentEvents:
    """Reads the events of a stream behind `after_id`, up to those that were committed when it was asked."""

    engine: Engine
    stream_id: int
    after_id: int
    _ranges: deque[tuple[int, int]] = field(default_factory=deque)
    _ready: deque[OutgoingEvent] = field(default_factory=deque)
    _mean: int = BODY

    def peek(self) -> OutgoingEvent | None:
        """The next event, which stays; None where there is none."""
        while not self._ready:
            if not self._read():
                return None
        return self._ready[0]

    def take(self) -> OutgoingEvent:
        """The event that `peek` has shown."""
        return self._ready.popleft()

    def rewind(self, after_id: int) -> None:
        """Read again what is behind this id."""
        self.after_id = after_id
        self._ranges.clear()
        self._ready.clear()

    def _read(self) -> bool:
        if not self._ranges:
            self._ranges.extend(_ranges(self.engine, self.stream_id, self.after_id))
        if not self._ranges:
            return False
        low, high = self._ranges.popleft()
        end = min(high, low + SPAN)
        found, is_all = self._between(low, end)
        self.after_id = end if is_all and len(found) < MOST else found[-1].id
        if self.after_id < high:
            self._ranges.appendleft((self.after_id, high))
        self._ready.extend(found)
        return True

    def _between(self, low: int, high: int) -> tuple[list[OutgoingEvent], bool]:
        bounds = {"stream": self.stream_id, "low": low, "high": high, "most": MOST}
        with store_errors(), reading(self.engine).connect() as connection:
            rows, is_all = first_rows(connection, _BETWEEN, bounds, READ_BYTES, self._mean)
        found = list(starmap(OutgoingEvent, rows))
        if found:
            self._mean = sum([len(one.body) for one in found]) // len(found)
        return found, is_all


def batches(
    events: UnsentEvents, size: int, plan: Iterable[int] = (), octets: Callable[[], int] = lambda: READ_BYTES
) -> Iterator[EventBatch]:
    """Cut what is behind a position into portions; those that were planned end as planned.

    A portion has at most `size` events, and no more of them once its bodies have `octets` characters, which is asked
    before each one.
    """
    ends = deque(plan)
    while events.peek() is not None:
        portion = list(_until(events, ends.popleft())) if ends else list(_some(events, size, octets()))
        if portion:  # what was planned may have been pruned since
            yield EventBatch(portion)


@dataclass
class UnsentHour:
    """Events of one stream that were received in the same hour, at most `size`: read while they are used."""

    source: UnsentEvents
    size: int
    first_id: int
    hour: int
    last_id: int = 0
    count: int = 0

    def events(self) -> Iterator[Sequence[OutgoingEvent]]:
        """A few at a time. Those that are not asked for are left for the next hour of this name."""
        while self.count < self.size:
            chunk = list(_some(self._rest(), min(CHUNK, self.size - self.count), READ_BYTES))
            if not chunk:
                return
            self.count += len(chunk)
            self.last_id = chunk[-1].id
            yield chunk

    def halve(self) -> None:
        """Begin again, with half as many as were taken."""
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
    """The same by the hour in which the events were received; one that is not over yet is left for later.

    Use each before you take the next one. One that is not used is the last: the next would be the same, without end.
    """
    while (first := events.peek()) is not None:
        hour = first.received_ns // HOUR_NS
        is_over = clock.now_ns() >= (hour + 1) * HOUR_NS + GRACE_NS
        if not is_over and not _is_whole(events, first.id, hour, size):
            return
        made = UnsentHour(events, size, first.id, hour)
        yield made
        if not made.count:
            return


def _is_whole(events: UnsentEvents, first_id: int, hour: int, size: int) -> bool:
    """Whether so many events of an hour are there, or one of another hour. Their bodies are not read for that."""
    bounds = {"stream": events.stream_id, "first": first_id, "size": size}
    with store_errors(), reading(events.engine).connect() as connection:
        number, oldest_ns, newest_ns = connection.execute(_RECEIVED, bounds).one()
    return bool(number >= size or oldest_ns // HOUR_NS != hour or newest_ns // HOUR_NS != hour)


def newest(engine: Engine, stream_id: int, number: int) -> list[OutgoingEvent]:
    """The newest events of a stream by their time, oldest first."""
    asked = text(
        "SELECT id, uuid, time_ns, received_ns, body FROM events WHERE stream_id = :stream "
        "ORDER BY time_ns DESC, id DESC LIMIT :number"
    )
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(asked, {"stream": stream_id, "number": number}).all()
    return [OutgoingEvent(*row) for row in reversed(rows)]


def _until(events: UnsentEvents, end: int) -> Iterator[OutgoingEvent]:
    while (event := events.peek()) is not None and event.id <= end:
        yield events.take()


def _some(events: UnsentEvents | _Within, size: int, octets: int) -> Iterator[OutgoingEvent]:
    while size > 0 and octets > 0 and events.peek() is not None:
        event = events.take()
        size, octets = size - 1, octets - len(event.body)
        yield event


def _ranges(engine: Engine, stream_id: int, after_id: int) -> list[tuple[int, int]]:
    """Where the next events are: from after the first id to the second, in order. Those that are near are one."""
    asked = (
        "SELECT number, first_id, last_id FROM chain "
        "WHERE stream_id = :stream AND last_id > :after ORDER BY last_id LIMIT :links"
    )
    with store_errors(), reading(engine).connect() as connection:
        links = connection.execute(text(asked), {"stream": stream_id, "after": after_id, "links": LINKS}).all()
        found = []
        if not links or links[0].number == 1:
            found = unlinked_ranges(connection, stream_id, after_id, links[0].first_id if links else None)
    for link in links:
        if found and link.first_id - found[-1][1] <= NEAR:
            found[-1] = (found[-1][0], link.last_id)
        else:
            found.append((max(link.first_id - 1, after_id), link.last_id))
    return found


def unlinked_ranges(
    connection: Connection, stream_id: int, after_id: int, before_id: int | None
) -> list[tuple[int, int]]:
    """Where events are that were stored before there was a chain: they have no link, and are before its first one.

    The counts tell whether there are any, so that a new stream of a large store is not looked for in all of it.
    """
    asked = (
        "SELECT events + pruned - coalesce((SELECT sum(events) FROM chain WHERE stream_id = streams.id), 0) "
        "FROM streams WHERE id = :stream"
    )
    if not connection.execute(text(asked), {"stream": stream_id}).scalar():
        return []
    end = before_id - 1 if before_id is not None else last_id(connection, stream_id) or 0
    return [(after_id, end)] if end > after_id else []


def first_since(connection: Connection, stream_id: int, time_ns: int) -> int | None:
    """The first event of a stream that was received then or later, or None. A link's events were received with it."""
    of = {"stream": stream_id, "time": time_ns}
    linked = "SELECT min(first_id) FROM chain WHERE stream_id = :stream AND committed_ns >= :time"
    first: int | None = connection.execute(text(linked), of).scalar()
    begin = connection.execute(text(_FIRST), of).scalar()
    for low, high in unlinked_ranges(connection, stream_id, 0, begin):
        asked = "SELECT min(id + 0) FROM events WHERE stream_id = :stream AND id > :low AND id <= :high "
        bounds = {**of, "low": low, "high": high}
        before = connection.execute(text(f"{asked} AND received_ns >= :time"), bounds).scalar()
        first = first if before is None else before
    return first


_FIRST = "SELECT first_id FROM chain WHERE stream_id = :stream AND number = 1"


def last_id(connection: Connection, stream_id: int) -> int | None:
    """The id of the last event of a stream that has no links; by going through the stream, not through the table."""
    asked = text("SELECT max(id + 0) FROM events WHERE stream_id = :stream")
    return connection.execute(asked, {"stream": stream_id}).scalar()


# By the key: with an index on stream_id either database would go through the whole stream, and sort it.
_BETWEEN = text(
    "SELECT id, uuid, time_ns, received_ns, body FROM events "
    "WHERE (stream_id + 0) = :stream AND id > :low AND id <= :high ORDER BY id LIMIT :most"
)
_RECEIVED = text(
    "SELECT count(*), min(received_ns), max(received_ns) FROM (SELECT received_ns FROM events "
    "WHERE (stream_id + 0) = :stream AND id >= :first ORDER BY id LIMIT :size) AS behind"
)
