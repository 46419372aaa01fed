"""Walk the hash chains of a source, and report where the stored events differ from what was committed.

The walk reads one snapshot, so concurrent collecting and pruning do not affect it, and it blocks no writer. Links and
events are read a few thousand at a time. After a damaged link the walk continues from the digest stored in that link,
so a changed page is one finding, not one for each link after it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.store.engine import is_sqlite, reading, store_errors
from blocks.store.integrity.chain_reader import (
    LAST,
    ChainEvents,
    LinkEvents,
    bodies,
    events_of,
    explain_mismatch,
    links,
)
from blocks.store.integrity.digests import ORIGIN, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.store.integrity.chain_reader import StoredLink

CHANGED, REMOVED, ADDED, REORDERED = "changed", "removed", "added", "reordered"


@dataclass(frozen=True, slots=True)
class Damage:
    """A link that is not as it was committed: its number, the kind of change, and a sentence.

    Ids are those of the table of events. Times are nanoseconds since 1970: of the commit, and of the earliest and
    latest of its events; None if they are unknown.
    """

    link: int
    kind: str
    sentence: str
    first_id: int | None = None
    last_id: int | None = None
    committed_ns: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ReachedLink:
    """A requested link that the walk reached: its digest, and how many events and damages there were up to it."""

    digest: bytes
    events: int
    damaged: int


@dataclass(slots=True)
class ChainReport:
    """What the walk of one chain has found. `uncovered` events were stored before the chain began.

    `events` and `pruned` are those that links cover, `newest` is the number of the last link and `committed_ns` its
    time, `first` is the first of `damaged` findings, and `reached` are the requested links that exist, by number.
    """

    api: str
    links: int = 0
    events: int = 0
    pruned: int = 0
    uncovered: int = 0
    damaged: int = 0
    first: Damage | None = None
    newest: int = 0
    committed_ns: int | None = None
    reached: dict[int, ReachedLink] = field(default_factory=dict)


def verify(
    engine: Engine,
    source_id: str,
    apis: Sequence[str] = (),
    link_numbers: dict[str, set[int]] | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> list[ChainReport]:
    """Walk the chains of a source, all or those of some APIs.

    `link_numbers`: by API, the numbers of the links whose digest to report. `advance` is called with the number of
    events read since its last call. Raises FirstPartyGenericError if the store does not answer.
    """
    with _snapshot(engine) as connection:
        streams = connection.execute(_STREAMS, {"source": source_id}).all()
        return [
            _Walk(connection, stream, (link_numbers or {}).get(stream.api, set()), advance).run()
            for stream in streams
            if not apis or stream.api in apis
        ]


def count_events(engine: Engine, source_id: str, apis: Sequence[str] = ()) -> int:
    """About how many events the walk will read."""
    with store_errors(), reading(engine).connect() as connection:
        streams = connection.execute(_STREAMS, {"source": source_id}).all()
    return sum(row.stored for row in streams if not apis or row.api in apis)


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    # SQLite's reads see one state from the first on, PostgreSQL's only with REPEATABLE READ
    reads = reading(engine)
    reads = reads if is_sqlite(engine) else reads.execution_options(isolation_level="REPEATABLE READ")
    with store_errors(), reads.connect() as connection:
        if not is_sqlite(engine):
            # By the primary key, a batch at a time: a table that was not analyzed yet would be sorted for each.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        yield connection


_STREAMS = text(
    "SELECT id, api, link, link_digest, link_id, events + pruned AS stored FROM streams "
    "WHERE source_id = :source ORDER BY id"
)
_UNCOVERED = text(
    "SELECT (SELECT count(*) FROM events WHERE stream_id = :stream AND id < :first) + (SELECT count(*) "
    "FROM pruned_events WHERE stream_id = :stream AND (event_id IS NULL OR event_id < :first))"
)


class _Walk:
    """One chain from its origin to its end."""

    def __init__(
        self, connection: Connection, stream: Row[Any], wanted: set[int], advance: Callable[[int], object]
    ) -> None:
        self.connection = connection
        self.stream = stream
        self.wanted = wanted
        self.advance = advance
        self.found = ChainReport(stream.api)
        self.events: ChainEvents
        self.befores: tuple[bytes, ...] = (ORIGIN,)  # the digests that the next link may follow; empty if unknown
        self.number = 0
        self.last_id = 0
        self.damaged_at: int | None = None

    def run(self) -> ChainReport:
        chained = links(self.connection, self.stream.id)
        link = next(chained, None)
        self._begin(link)
        last = None
        while link is not None:
            following = next(chained, None)
            self._check(link, following)
            last, link = link, following
        self._end(last)
        return self.found

    def _begin(self, link: StoredLink | None) -> None:
        first_id = LAST if link is None else link.first_id if link.readable else 0
        parameters = {"stream": self.stream.id, "first": first_id}
        self.found.uncovered = self.connection.execute(_UNCOVERED, parameters).scalar_one()
        self.advance(self.found.uncovered)
        self.events = ChainEvents(self.connection, self.stream.id, max(first_id, -LAST) - 1, self.advance)
        self._note(0, ORIGIN)

    def _check(self, link: StoredLink, following: StoredLink | None) -> None:
        if not link.readable:
            self._damage(self.number + 1, CHANGED, "A column of it holds what is no number, text or digest.")
            self.befores = ()
            return
        if link.number <= self.number:
            self._damage(link.number, ADDED, "A chain begins with link 1.", link=link)
            return
        astray = self.events.until(min(link.first_id - 1, link.last_id))
        if link.number > self.number + 1:
            self._missing(self.number + 1, link.number - 1, astray)
            astray = LinkEvents()
        self._check_events(link, following, astray)

    def _check_events(self, link: StoredLink, following: StoredLink | None, astray: LinkEvents) -> None:
        own = self.events.of(link, following)
        computed = [digest_of(before, link, own.items) for before in self.befores]
        fits = link.digest in computed or not self.befores
        if problem := self._problem(link, following, own, fits=fits):
            self._damage(link.number, *problem, own, link)
        elif astray.count:
            self._damage(link.number, ADDED, f"{astray.words} before it.", astray)
        self.befores = (link.digest,) if fits else (link.digest, *filter(None, computed))
        self.number, self.last_id = link.number, own.last_id or self.last_id
        self._count(link, own)

    def _count(self, link: StoredLink, own: LinkEvents) -> None:
        self.found.links += 1
        self.found.events += own.count - own.pruned
        self.found.pruned += own.pruned
        self.found.newest, self.found.committed_ns = link.number, link.committed_ns
        self._note(link.number, link.digest)

    def _problem(
        self, link: StoredLink, following: StoredLink | None, own: LinkEvents, *, fits: bool
    ) -> tuple[str, str] | None:
        """The kind of damage of a link, and a sentence; None if the link is as it was committed."""
        late = own.count - own.received(link.committed_ns)
        missing = link.events - own.count
        if not fits and self._out_of_order(link, following):
            return REORDERED, "Its events stand before those of the link before it, or after those of the next."
        if missing and fits and self.befores:
            return CHANGED, "The count of events that it bears is not the one that was committed; its events are."
        if missing > 0:
            return REMOVED, f"{missing:,} of its {events_of(link.events)} {_are(missing)} not there."
        if missing < 0:
            return (
                ADDED,
                f"There {_are(-missing)} {-missing:,} more than the {events_of(link.events)} committed with it.",
            )
        if (own.first_id, own.last_id) != (link.first_id, link.last_id):
            return CHANGED, "The range of ids that it bears is not that of its events."
        if not fits:
            return self._explained(link, own, late)
        return _received(late) if late else None

    def _out_of_order(self, link: StoredLink, following: StoredLink | None) -> bool:
        before_the_last = link.first_id <= self.last_id
        return before_the_last or (following is not None and following.readable and following.first_id < link.first_id)

    def _explained(self, link: StoredLink, own: LinkEvents, late: int) -> tuple[str, str]:
        """Why the digest differs although the number of events is the same."""
        others = [link._replace(api_version=version) for version in ("v1", "v2")]
        if any(link.digest == digest_of(before, other, own.items) for other in others for before in self.befores):
            return CHANGED, "The API version that it bears is not the one that was committed; its events are."
        at_receipt = link._replace(committed_ns=own.items[0].received_ns) if own.items else link
        if late and any(link.digest == digest_of(before, at_receipt, own.items) for before in self.befores):
            return CHANGED, "The time that it bears is not that of its commit; its events are as they were committed."
        if late:
            return _received(late)
        own_bodies = bodies(self.connection, self.stream.id, link)
        return explain_mismatch(own_bodies) or (
            CHANGED,
            "A body, the order of its events, or the link itself was changed.",
        )

    def _missing(self, first: int, last: int, astray: LinkEvents) -> None:
        gone = f"Link {first:,} is not there" if first == last else f"Links {first:,} to {last:,} are not there"
        self._damage(
            first, REMOVED, f"{gone}; {astray.words if astray.count else 'no event stands'} in the place.", astray
        )
        self.befores = ()

    def _end(self, last: StoredLink | None) -> None:
        astray = self.events.until(LAST)
        stream, number = self.stream, self.number
        if type(stream.link) is not int:
            self._damage(number, CHANGED, "The row of the stream does not hold the number of its newest link.")
        elif stream.link < number:
            self._damage(stream.link + 1, ADDED, "The row of the stream does not know of this link.")
        elif stream.link > number:
            self._missing(number + 1, stream.link, astray)
        elif astray.count:
            self._damage(
                number + 1, ADDED, f"{astray.words} after the last link: added, or links were removed.", astray
            )
        elif (stream.link_digest, stream.link_id) != ((last.digest, last.last_id) if last else (None, None)):
            self._damage(number, CHANGED, "The row of the stream has another digest or id of this link.", link=last)

    def _damage(
        self, number: int, kind: str, sentence: str, events: LinkEvents | None = None, link: StoredLink | None = None
    ) -> None:
        if number == self.damaged_at:
            return
        self.damaged_at = number
        self.found.damaged += 1
        if self.found.first is None:
            self.found.first = Damage(number, kind, sentence, **_known(events, link))

    def _note(self, number: int, digest: bytes) -> None:
        if number in self.wanted:
            found = self.found
            stored = found.uncovered + found.events + found.pruned
            found.reached[number] = ReachedLink(digest, stored, found.damaged)


def _known(events: LinkEvents | None, link: StoredLink | None) -> dict[str, Any]:
    """The ids and times of a damaged link, as far as they are known, for `Damage`."""
    known: dict[str, Any] = {}
    if link is not None and link.readable:
        known = {"first_id": link.first_id, "last_id": link.last_id, "committed_ns": link.committed_ns}
    if events is not None and events.count:
        times = [item.time_ns for item in events.items if type(item.time_ns) is int]
        known = {"first_id": events.first_id, "last_id": events.last_id} | known
        known |= {"first_ns": min(times, default=None), "last_ns": max(times, default=None)}
    return known


def _received(late: int) -> tuple[str, str]:
    have = "has" if late == 1 else "have"
    return CHANGED, f"{events_of(late)} of it {have} another time of receipt than that of its commit."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
