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
from blocks.siem.event import Outgoing
from blocks.store.engine import plain_rows, reading, store_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

HOUR_NS = 3600 * 10**9
GRACE_NS = 120 * 10**9
"""How long after the end of an hour an event of it may still be committed: longer than a page takes."""
LINKS = 500  # links that are looked up at once
MOST = 2000  # events that are read at once
SPAN = 4000  # ids that are looked at for them: no more, however PostgreSQL plans it
NEAR = 1000  # ids between two links that cost less to pass over than another question


@dataclass(frozen=True, slots=True)
class Portion:
    """Events of one stream, in the order of their ids, of which the position moves behind all or none."""

    events: Sequence[Outgoing]

    @property
    def first_id(self) -> int:
        return self.events[0].id

    @property
    def last_id(self) -> int:
        return self.events[-1].id


@dataclass
class Events:
    """Reads the events of a stream behind `after_id`, up to those that were committed when it was asked."""

    engine: Engine
    stream_id: int
    after_id: int
    _ranges: deque[tuple[int, int]] = field(default_factory=deque)
    _ready: deque[Outgoing] = field(default_factory=deque)

    def peek(self) -> Outgoing | None:
        """The next event, which stays; None where there is none."""
        while not self._ready:
            if not self._read():
                return None
        return self._ready[0]

    def take(self) -> Outgoing:
        """The event that `peek` has shown."""
        return self._ready.popleft()

    def _read(self) -> bool:
        if not self._ranges:
            self._ranges.extend(_ranges(self.engine, self.stream_id, self.after_id))
        if not self._ranges:
            return False
        low, high = self._ranges.popleft()
        end = min(high, low + SPAN)
        found = _between(self.engine, self.stream_id, low, end)
        self.after_id = found[-1].id if len(found) == MOST else end
        if self.after_id < high:
            self._ranges.appendleft((self.after_id, high))
        self._ready.extend(found)
        return True


def portions(events: Events, size: int, plan: Iterable[int] = ()) -> Iterator[Portion]:
    """Cut what is behind a position into portions of at most `size` events; those that were planned end as planned."""
    ends = deque(plan)
    while events.peek() is not None:
        portion = list(_until(events, ends.popleft())) if ends else list(_some(events, size))
        if portion:  # what was planned may have been pruned since
            yield Portion(portion)


def hours(events: Events, size: int) -> Iterator[Portion]:
    """The same by the hour in which the events were received; one that is not over yet is left for later."""
    while (first := events.peek()) is not None:
        hour = first.received_ns // HOUR_NS
        portion: list[Outgoing] = []
        while (event := events.peek()) is not None and event.received_ns // HOUR_NS == hour and len(portion) < size:
            portion.append(events.take())
        is_over = clock.now_ns() >= (hour + 1) * HOUR_NS + GRACE_NS
        if event is None and len(portion) < size and not is_over:
            return
        yield Portion(portion)


def newest(engine: Engine, stream_id: int, number: int) -> list[Outgoing]:
    """The newest events of a stream by their time, oldest first."""
    asked = text(
        "SELECT id, uuid, time_ns, received_ns, body FROM events WHERE stream_id = :stream "
        "ORDER BY time_ns DESC, id DESC LIMIT :number"
    )
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(asked, {"stream": stream_id, "number": number}).all()
    return [Outgoing(*row) for row in reversed(rows)]


def _until(events: Events, end: int) -> Iterator[Outgoing]:
    while (event := events.peek()) is not None and event.id <= end:
        yield events.take()


def _some(events: Events, size: int) -> Iterator[Outgoing]:
    for _ in range(size):
        if events.peek() is None:
            return
        yield events.take()


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
            found = unlinked(connection, stream_id, after_id, links[0].first_id if links else None)
    for link in links:
        if found and link.first_id - found[-1][1] <= NEAR:
            found[-1] = (found[-1][0], link.last_id)
        else:
            found.append((max(link.first_id - 1, after_id), link.last_id))
    return found


def unlinked(connection: Connection, stream_id: int, after_id: int, before_id: int | None) -> list[tuple[int, int]]:
    """Where events are that were stored before there was a chain: they have no link, and are before its first one.

    The counts tell whether there are any, so that a new stream of a large store is not looked for in all of it.
    """
    asked = (
        "SELECT events + pruned - coalesce((SELECT sum(events) FROM chain WHERE stream_id = streams.id), 0) "
        "FROM streams WHERE id = :stream"
    )
    if not connection.execute(text(asked), {"stream": stream_id}).scalar():
        return []
    end = before_id - 1 if before_id is not None else last_of(connection, stream_id) or 0
    return [(after_id, end)] if end > after_id else []


def first_since(connection: Connection, stream_id: int, time_ns: int) -> int | None:
    """The first event of a stream that was received then or later, or None. A link's events were received with it."""
    of = {"stream": stream_id, "time": time_ns}
    linked = "SELECT min(first_id) FROM chain WHERE stream_id = :stream AND committed_ns >= :time"
    first: int | None = connection.execute(text(linked), of).scalar()
    begin = connection.execute(text(_FIRST), of).scalar()
    for low, high in unlinked(connection, stream_id, 0, begin):
        asked = "SELECT min(id + 0) FROM events WHERE stream_id = :stream AND id > :low AND id <= :high "
        bounds = {**of, "low": low, "high": high}
        before = connection.execute(text(f"{asked} AND received_ns >= :time"), bounds).scalar()
        first = first if before is None else before
    return first


_FIRST = "SELECT first_id FROM chain WHERE stream_id = :stream AND number = 1"


def last_of(connection: Connection, stream_id: int) -> int | None:
    """The id of the last event of a stream that has no links; by going through the stream, not through the table."""
    asked = text("SELECT max(id + 0) FROM events WHERE stream_id = :stream")
    return connection.execute(asked, {"stream": stream_id}).scalar()


def _between(engine: Engine, stream_id: int, low: int, high: int) -> list[Outgoing]:
    # By the key: with an index on stream_id either database would go through the whole stream, and sort it.
    asked = (
        "SELECT id, uuid, time_ns, received_ns, body FROM events "
        "WHERE (stream_id + 0) = :stream AND id > :low AND id <= :high ORDER BY id LIMIT :most"
    )
    bounds = {"stream": stream_id, "low": low, "high": high, "most": MOST}
    with store_errors(), reading(engine).connect() as connection:
        return list(starmap(Outgoing, plain_rows(connection, text(asked), bounds)))
