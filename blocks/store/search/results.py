"""Search the index, newest events first, a page at a time, and say how far the search came."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.store.engine import is_sqlite, reading, store_errors
from blocks.store.search import backlog, candidates, days
from blocks.store.search.candidates import Candidates
from blocks.store.search.query import LATEST_NS, Position, ResolvedQuery, SearchQuery, plain_part, resolve, searchable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

LIMIT = 50
SECONDS = 1.5
"""How long a search looks for its first page. Then it returns what it has, and the position to continue from."""
GROUP_MAX, GROUP_SECONDS = 32, 0.2  # most days in one query; as many again only if those before took less
CANDIDATES, BODIES = 8000, 1000  # events whose text is searched in one step, and bodies in one query


@dataclass(frozen=True, slots=True)
class EventHit:
    """An event that a search returned. Times are nanoseconds since 1970; `body` is as the server sent it."""

    id: int
    stream_id: int
    source: str
    source_id: str
    api: str
    uuid: str
    time_ns: int
    received_ns: int
    body: str

    @property
    def position(self) -> Position:
        return Position(self.time_ns, self.id)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of results. `after` is the position to continue from; None if there is no more.

    `is_cut`: the time was over before the page was full; everything newer than `after` was searched. `not_indexed`:
    how many events of the store are not in the index yet, so that no search finds them.
    """

    events: Sequence[EventHit]
    after: Position | None
    is_cut: bool
    not_indexed: int


def search(
    engine: Engine,
    query: SearchQuery,
    after: Position | None = None,
    limit: int = LIMIT,
    seconds: float = SECONDS,
) -> SearchPage:
    """The first `limit` events that match, newest first, after a position.

    Raises FirstPartyGenericError if the database fails, and KeyError for a member that is not indexed.
    """
    with store_errors(), reading(engine).connect() as connection:
        not_indexed = backlog.count(connection)
        walk = walk_back(connection, resolve(connection, query), after, seconds)
        found = walk.take(limit)
        events = read_events(connection, [position.event_id for position in found])
    return SearchPage(events, walk.after, walk.is_cut, not_indexed)


def walk_back(connection: Connection, query: ResolvedQuery, after: Position | None, seconds: float) -> Walk:
    """A walk through the matches of a query, newest first, that ends after so many seconds."""
    start = after or candidates.start_of(query)
    until_ns = start.time_ns if after is None else start.time_ns + 1  # others can have the same time
    dates = [] if query.is_empty else list(days.between(connection, query.since_ns, until_ns))
    chosen = candidates.choose(connection, query, dates) if dates else Candidates(query, None, ())
    return Walk(connection, chosen, dates, start, time.monotonic() + seconds)


def read_events(connection: Connection, event_ids: Sequence[int]) -> list[EventHit]:
    """The events with these ids, in this order, without those that were removed meanwhile."""
    body = "CAST(e.body AS BLOB)" if is_sqlite(connection.engine) else "e.body"
    query = text(
        f"SELECT e.id, e.stream_id, o.name, o.id, s.api, e.uuid, e.time_ns, e.received_ns, {body} FROM events e "  # noqa: S608
        f"JOIN streams s ON s.id = e.stream_id JOIN sources o ON o.id = s.source_id WHERE e.id IN ({_list(event_ids)})"
    )
    hits = {row[0]: EventHit(*row) for row in connection.execute(query)}
    return [replace(hits[id_], body=_text(hits[id_].body)) for id_ in event_ids if id_ in hits]


class Walk:
    """Goes back in time from a position. `after` is how far it came: None at the end.

    `is_cut`: the time was over before the end, or before there were enough matches.
    """

    def __init__(
        self, connection: Connection, chosen: Candidates, dates: Sequence[int], start: Position, deadline: float
    ) -> None:
        self._connection = connection
        self._chosen = chosen
        self._days = deque(dates)
        self._deadline = deadline
        self._group = 1
        self.after: Position | None = start
        self.is_cut = False

    def take(self, number: int) -> list[Position]:
        """The next `number` matches; fewer at the end, or if the time is over."""
        found: list[Position] = []
        while self.after is not None and len(found) < number and not self.is_cut:
            found += self._next(number - len(found))
            self.is_cut = self.after is not None and len(found) < number and time.monotonic() >= self._deadline
        return found

    def _next(self, number: int) -> list[Position]:
        """Search the next days, or a part of them, and move `after` to where this ended."""
        if not self._days or self.after is None:
            self.after = None
            return []
        started = time.monotonic()
        group = [self._days[place] for place in range(min(self._group, len(self._days)))]
        needles = self._chosen.query.needles
        most = CANDIDATES if needles else number
        rows = candidates.matches(self._connection, self._chosen, group, self.after, most)
        positions = [Position(*row) for row in rows]
        found = self._with_text(positions, number) if needles else positions
        if len(found) >= number:
            self.after = found[-1]
        elif len(positions) == most:
            self.after = positions[-1]
        else:
            self._leave(group, time.monotonic() - started)
        return found

    def _leave(self, group: Sequence[int], seconds: float) -> None:
        """Go on with the days before these: with twice as many, unless these took long."""
        for _ in group:
            self._days.popleft()
        self.after = Position(group[-1] * days.DAY_NS, -LATEST_NS) if self._days else None
        self._group = min(self._group * 2, GROUP_MAX) if seconds < GROUP_SECONDS else max(self._group // 2, 1)

    def _with_text(self, positions: Sequence[Position], number: int) -> list[Position]:
        """Those whose bodies have the text, until there are enough."""
        found: list[Position] = []
        for start in range(0, len(positions), BODIES):
            chunk = positions[start : start + BODIES]
            ids = _matching(self._connection, [position.event_id for position in chunk], self._chosen.query.needles)
            found += [position for position in chunk if position.event_id in ids]
            if len(found) >= number:
                return found[:number]
        return found


def _matcher(needles: Sequence[str]) -> Callable[[str], bool]:
    if len(needles) == 1:
        needle = needles[0]
        return lambda body: needle in body
    return lambda body: any(needle in body for needle in needles)


def _matching(connection: Connection, event_ids: Sequence[int], needles: Sequence[str]) -> set[int]:
    """The ids of those whose bodies have the text.

    The database leaves out most of the others, so that their bodies are not read here. It knows the case of ASCII
    letters alone, and no escapes; what it leaves is compared here, by the same rules for both databases.
    """
    sqlite = is_sqlite(connection.engine)
    plain, is_match = plain_part(needles), _matcher(needles)
    query = _BODIES[sqlite].format(ids=_list(event_ids)) + (_HAS_PLAIN[sqlite] if plain else "")
    # The driver's own rows: SQLAlchemy's would double the time.
    rows: Any = connection.exec_driver_sql(query, {"plain": _pattern(plain)} if plain else None).cursor
    return {id_ for id_, body in rows if is_match(searchable(_text(body)))}


_BODIES = {
    True: "SELECT id, CAST(body AS BLOB) FROM events WHERE id IN ({ids})",
    False: "SELECT id, body FROM events WHERE id = ANY('{{{ids}}}'::bigint[])",
}
# LIKE is the quickest search of both. SQLite's knows the case of ASCII letters alone, as ILIKE does in this collation.
_HAS_PLAIN = {
    True: r" AND (body LIKE :plain ESCAPE '!' OR body LIKE '%\u%' ESCAPE '!')",
    False: r""" AND (body COLLATE "C" ILIKE %(plain)s ESCAPE '!' OR body LIKE '%%\u%%' ESCAPE '!')""",
}


def _pattern(plain: str) -> str:
    for letter in "!%_":
        plain = plain.replace(letter, f"!{letter}")
    return f"%{plain}%"


def _text(body: str | bytes) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else body


def _list(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids)) or "NULL"
