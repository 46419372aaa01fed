"""Read the links of a chain and the events in their ranges, a few thousand at a time in the order of ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text
from whenever import Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, TextClause

BATCH = 2000
LARGEST = 100_000
"""At most so many events of a link are held at once: a hundred times a page, even if a changed link claims more."""
LAST = 2**63 - 1
UUIDS_SHOWN = 2  # in a sentence about rows that do not fit their bodies


class StoredLink(NamedTuple):
    """A link as it is stored. Times are nanoseconds since 1970."""

    number: int
    first_id: int
    last_id: int
    events: int
    api_version: str
    committed_ns: int
    digest: bytes

    @property
    def readable(self) -> bool:
        """Whether each column has its type, which SQLite does not enforce; a NUL in the version could fake its end."""
        numbers = (self.number, self.first_id, self.last_id, self.events, self.committed_ns)
        return (
            all(type(number) is int for number in numbers)
            and type(self.digest) is bytes
            and (type(self.api_version) is str and "\0" not in self.api_version)
        )


class BodyRow(NamedTuple):
    """An event as it is stored: its columns uuid and time (nanoseconds since 1970), and its body."""

    uuid: str
    time_ns: int
    body: str | bytes


class ChainItem(NamedTuple):
    """An event, or what remains of a pruned one. `digest` is the SHA-256 of its body."""

    id: int
    uuid: str
    time_ns: int
    received_ns: int
    digest: bytes
    pruned: bool


# SQLite does not return a text that is not UTF-8, hence the CASTs. The expressions on stream_id keep the planner from
# its index, with which both databases sort a whole stream (PostgreSQL until it has analyzed the table).
_DIALECTS = {
    "sqlite": {
        "stream_id": "+stream_id",
        "uuid": "CAST(uuid AS BLOB)",
        "body": "CAST(body AS BLOB)",
        "api_version": "CAST(api_version AS BLOB)",
    },
    "postgresql": {"stream_id": "(stream_id + 0)", "uuid": "uuid", "body": "body", "api_version": "api_version"},
}
_LINKS = (
    "SELECT number, first_id, last_id, events, {api_version}, committed_ns, digest FROM chain "
    "WHERE stream_id = :stream AND number > :after ORDER BY number LIMIT :batch"
)
_EVENTS = (
    "SELECT id, {uuid}, time_ns, received_ns, {body} FROM events "
    "WHERE {stream_id} = :stream AND id > :after AND id <= :until ORDER BY id LIMIT :batch"
)
_PRUNED = (
    "SELECT event_id, {uuid}, time_ns, received_ns, digest FROM pruned_events "
    "WHERE stream_id = :stream AND event_id > :after AND event_id <= :until ORDER BY event_id LIMIT :batch"
)


@dataclass(slots=True)
class LinkEvents:
    """The events in the range of a link, or of no link; `items` are the first of them, up to LARGEST."""

    items: list[ChainItem] = field(default_factory=list)
    count: int = 0
    pruned: int = 0
    first_id: int | None = None
    last_id: int | None = None

    def add(self, item: ChainItem) -> None:
        self.count += 1
        self.pruned += item.pruned
        self.last_id = item.id
        if self.first_id is None:
            self.first_id = item.id
        if self.count <= LARGEST:
            self.items.append(item)

    def received(self, committed_ns: int) -> int:
        """How many of `items` were received at that time."""
        return sum([item.received_ns == committed_ns for item in self.items])

    @property
    def words(self) -> str:
        """A clause without its end: `2 events that no link covers stand`."""
        return f"{events_of(self.count)} that no link covers {'stands' if self.count == 1 else 'stand'}"


class ChainEvents:
    """The events of a stream and the remains of its pruned events, in the order of their ids."""

    def __init__(self, connection: Connection, stream_id: int, after_id: int, advance: Callable[[int], object]) -> None:
        self._items = _items(connection, stream_id, after_id, advance)
        self._next = next(self._items, None)

    def until(self, last_id: int) -> LinkEvents:
        """The remaining events up to an id."""
        taken = LinkEvents()
        while self._next is not None and self._next.id <= last_id:
            taken.add(self._next)
            self._next = next(self._items, None)
        return taken

    def of(self, link: StoredLink, following: StoredLink | None) -> LinkEvents:
        """The events in the range of a link; at most as many as it counts, if it reaches into the range of the next."""
        taken = LinkEvents()
        bound = following.first_id if following is not None and following.readable else LAST
        while self._next is not None and self._next.id <= link.last_id:
            if self._next.id >= bound and taken.count >= link.events:
                break
            taken.add(self._next)
            self._next = next(self._items, None)
        return taken


def links(connection: Connection, stream_id: int) -> Iterator[StoredLink]:
    query, after = _query(connection, _LINKS), -LAST
    while rows := connection.execute(query, {"stream": stream_id, "after": after, "batch": BATCH}).all():
        for number, first_id, last_id, events, version, committed_ns, digest in rows:
            yield StoredLink(number, first_id, last_id, events, _text(version), committed_ns, digest)
        after = rows[-1][0]


def _items(
    connection: Connection, stream_id: int, after_id: int, advance: Callable[[int], object]
) -> Iterator[ChainItem]:
    events, pruned = _query(connection, _EVENTS), _query(connection, _PRUNED)
    until = after_id
    while until < LAST:
        parameters = {"stream": stream_id, "after": until, "until": LAST, "batch": BATCH}
        gone = _pruned(connection.execute(pruned, parameters).all())
        until = gone[-1].id if len(gone) == BATCH else LAST
        stored = _stored(connection.execute(events, {**parameters, "until": until}).all())
        until = stored[-1].id if len(stored) == BATCH else until
        both = list(merge(stored, [item for item in gone if item.id <= until], key=itemgetter(0))) if gone else stored
        advance(len(both))
        yield from both


def bodies(connection: Connection, stream_id: int, link: StoredLink) -> list[BodyRow]:
    """The events of a link that still have a body."""
    parameters = {"stream": stream_id, "after": max(link.first_id, -LAST) - 1, "until": link.last_id, "batch": BATCH}
    rows = connection.execute(_query(connection, _EVENTS), parameters)
    return [BodyRow(_text(uuid), time_ns, body) for _, uuid, time_ns, _, body in rows]


def events_of(number: int) -> str:
    """In words: `1,000 events`."""
    return f"{number:,} event{'' if number == 1 else 's'}"


_item = partial(tuple.__new__, ChainItem)  # three times as fast as ChainItem(), and there are many


def _stored(rows: Iterable[Sequence[Any]]) -> list[ChainItem]:
    return [
        _item((id_, _text(uuid), time_ns, received_ns, sha256(_encoded(body)).digest(), False))
        for id_, uuid, time_ns, received_ns, body in rows
    ]


def _pruned(rows: Iterable[Sequence[Any]]) -> list[ChainItem]:
    return [
        _item((id_, _text(uuid), time_ns, received_ns, digest, True))
        for id_, uuid, time_ns, received_ns, digest in rows
    ]


def _encoded(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


def _text(value: Any) -> Any:
    # Bytes that are not UTF-8 become a text that cannot be encoded, and so get no digest: see `digests`.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _query(connection: Connection, query: str) -> TextClause:
    return text(query.format(**_DIALECTS[connection.dialect.name]))


def explain_mismatch(rows: Iterable[BodyRow]) -> tuple[str, str] | None:
    """Whether bodies were exchanged or rows were changed, and a sentence that names some of them; None if all fit."""
    mismatched = [(row, identity) for row in rows if (identity := _identity(row.body)) != (row.uuid, row.time_ns)]
    if not mismatched:
        return None
    columns, bodies = [(row.uuid, row.time_ns) for row, _ in mismatched], [identity for _, identity in mismatched]
    some = ", ".join(str(row.uuid) for row, _ in mismatched[:UUIDS_SHOWN]) + (
        ", …" if len(mismatched) > UUIDS_SHOWN else ""
    )
    if sorted(columns, key=repr) == sorted(bodies, key=repr):
        return "reordered", f"The bodies of {len(mismatched):,} events have changed places: {some}."
    number = "1 event does" if len(mismatched) == 1 else f"{len(mismatched):,} events do"
    return "changed", f"The uuid or the time of {number} not fit the body: {some}."


def _identity(body: str | bytes) -> tuple[str, int] | None:
    """The uuid and the time in a body; None if it is no event."""
    try:
        event = json.loads(body)
        return str(event["uuid"]), Instant.parse_iso(event["timestamp"]).timestamp(unit="nanosecond")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
