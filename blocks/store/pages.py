"""A page and its cursor are one transaction: after a kill at any instruction, both are there or neither is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text, update

from blocks import clock
from blocks.health import WARNING, Condition
from blocks.store import health, streams
from blocks.store.engine import writing
from blocks.store.legible import legible
from blocks.store.prune import without_pruned
from blocks.store.streams import Claim
from blocks.store.tables import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from blocks.events_api.models import Api, Event, Page, Rejected

_streams = Stream.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Committed:
    """What one page brought: events stored now, events that were there already, items put aside."""

    new: int
    known: int
    quarantined: int


def commit_page(engine: Engine, claim: Claim, page: Page, *, after: str | None, api_version: str) -> Committed:
    """Store a page's events and move the cursor from `after` to the page's own, in one transaction.

    Raises ClaimLostError where the claim was taken away or the cursor is no longer at `after`;
    FirstPartyGenericError where the database does not take it. Either way nothing of the page is stored.
    """
    copies = legible_copies(page.events)  # made before the database is kept from other writers
    with writing(engine) as connection:
        _move_cursor(connection, claim, page, after, api_version)
        return put(connection, claim.stream_id, claim.api, page, copies)


def put(connection: Connection, stream_id: int, api: Api, page: Page, copies: Sequence[tuple[Event, str]]) -> Committed:
    """Store what a page holds, in a transaction that has written the stream's row already."""
    received_ns = clock.now_ns()
    events = without_pruned(connection, stream_id, page.events)
    new = _insert(connection, stream_id, received_ns, events) if events else 0
    quarantined = sum(_quarantine(connection, stream_id, received_ns, item) for item in page.rejected)
    _add_copies(connection, stream_id, copies)
    if new or quarantined:
        counts = {"events": _streams.c.events + new, "quarantined": _streams.c.quarantined + quarantined}
        connection.execute(update(_streams).where(_streams.c.id == stream_id).values(counts))
    if quarantined or page.unknown:
        _tell(connection, stream_id, api, page, quarantined)
    return Committed(new, len(page.events) - new, quarantined)


def _move_cursor(connection: Connection, claim: Claim, page: Page, after: str | None, api_version: str) -> None:
    """Compare and swap. It is the first statement, so that ids rise in commit order within a stream."""
    now_ns = clock.now_ns()
    newest_ns = max((event.time_ns for event in page.events), default=None)
    values: dict[str, Any] = {"cursor": page.cursor, "cursor_version": api_version, **streams.progress()}
    if page.cursor != after:
        values["cursor_ns"] = now_ns
    if newest_ns is not None:
        values["newest_ns"] = later(connection, newest_ns)
    moved = streams.held(claim).where(_streams.c.cursor.is_not_distinct_from(after)).values(values)
    streams.require(connection.execute(moved), claim)


def later(connection: Connection, newest_ns: int) -> Any:
    """The later one of a stream's newest event and this time."""
    # max() of two values is called greatest() on PostgreSQL
    larger = func.max if connection.dialect.name == "sqlite" else func.greatest
    return larger(func.coalesce(_streams.c.newest_ns, newest_ns), newest_ns)


def _insert(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> int:
    if connection.dialect.name == "sqlite":
        return _insert_sqlite(connection, stream_id, received_ns, events)
    uuids, times, bodies = map(list, zip(*events, strict=True))
    values = {"stream": stream_id, "received": received_ns, "uuids": uuids, "times": times, "bodies": bodies}
    return connection.exec_driver_sql(_INSERT_POSTGRESQL, values).rowcount


# %b sends the arrays in binary: as text, each body is quoted in Python, at a sixth of the speed.
_INSERT_POSTGRESQL = (
    "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) "
    "SELECT %(stream)s::int, page.uuid, page.time_ns, %(received)s::bigint, page.body "
    "FROM unnest(%(uuids)b::text[], %(times)b::bigint[], %(bodies)b::text[]) AS page (uuid, time_ns, body) "
    "ON CONFLICT (stream_id, uuid) DO NOTHING"
)


# One statement for many rows: executemany gives the interpreter's lock away and takes it back for every single row,
# and each time another busy thread of the process may keep it for 5 ms.
_ROWS = (1000, 100, 10, 1)


def _insert_sqlite(connection: Connection, stream_id: int, received_ns: int, events: Sequence[Event]) -> int:
    new = position = 0
    for rows in _ROWS:
        while len(events) - position >= rows:
            values: list[object] = [stream_id, received_ns]
            for event in events[position : position + rows]:
                values += event
            new += connection.exec_driver_sql(_insert_rows(rows), tuple(values)).rowcount
            position += rows
    return new


@cache
def _insert_rows(rows: int) -> str:
    values = ",".join(f"(?1,?{n},?{n + 1},?2,?{n + 2})" for n in range(3, 3 + 3 * rows, 3))
    return (
        "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) "  # noqa: S608 - numbers of parameters
        f"VALUES {values} ON CONFLICT (stream_id, uuid) DO NOTHING"
    )


def _tell(connection: Connection, stream_id: int, api: Api, page: Page, quarantined: int) -> None:
    """Of what is unfamiliar, once for each; of items put aside, where none were before or the reason is new."""
    source_id = connection.execute(select(_streams.c.source_id).where(_streams.c.id == stream_id)).scalar_one()
    for one in health.note_unfamiliar(connection, stream_id, page.unknown):
        health.tell(connection, source_id, _unknown(api, one))
    reasons = {item.reason.partition(":")[0] for item in page.rejected} if quarantined else set()
    new = health.note_unfamiliar(connection, stream_id, [("quarantine", reason, "") for reason in reasons])
    if quarantined:
        aside = _quarantined(api, reasons)
        if not health.begin(connection, source_id, aside) and new:
            health.tell(connection, source_id, aside)


def _unknown(api: Api, one: tuple[str, str, str]) -> Condition:
    kind, path, value = one
    what = f"the member {path}" if kind == "member" else f"{value!r} as {path}"
    return Condition(
        tracker=f"unknown/{api}",
        name="UnknownMember" if kind == "member" else "UnknownValue",
        severity=WARNING,
        description=f"An event of {api} has {what}, which this version does not know. It is kept as it came.",
        api=api,
        hint="See whether your queries and your SIEM's rules need to know it too; a newer version may.",
    )


def _quarantined(api: Api, reasons: set[str]) -> Condition:
    return Condition(
        tracker=f"quarantine/{api}",
        name="EventsQuarantined",
        severity=WARNING,
        description=f"Items of {api} cannot be stored as events: {', '.join(sorted(reasons))}.",
        api=api,
        hint="They are kept byte for byte in the table quarantine, and reading goes on. Please report them.",
    )


def legible_copies(events: Sequence[Event]) -> list[tuple[Event, str]]:
    """What the views are to show of events whose bodies a database cannot show."""
    return [(event, shown) for event in events if (shown := legible(event.body)) is not None]


def _add_copies(connection: Connection, stream_id: int, copies: Sequence[tuple[Event, str]]) -> None:
    statement = text(
        "INSERT INTO legible_bodies (stream_id, uuid, body) "
        "SELECT stream_id, uuid, :shown FROM events "
        "WHERE stream_id = :stream AND uuid = :uuid AND body = :body "  # the body that is kept, not a later one
        "ON CONFLICT (stream_id, uuid) DO NOTHING"
    )
    for event, shown in copies:
        values = {"stream": stream_id, "uuid": event.uuid, "body": event.body, "shown": shown}
        connection.execute(statement, values)


def _quarantine(connection: Connection, stream_id: int, received_ns: int, item: Rejected) -> int:
    statement = text(
        "INSERT INTO quarantine (stream_id, received_ns, reason, digest, body) "
        "VALUES (:stream, :received, :reason, :digest, :body) ON CONFLICT (stream_id, digest) DO NOTHING"
    )
    digest = hashlib.sha256(item.body).digest()
    values = {"stream": stream_id, "received": received_ns, "reason": item.reason, "digest": digest}
    return connection.execute(statement, {**values, "body": item.body}).rowcount
