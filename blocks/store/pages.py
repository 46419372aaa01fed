"""A page and its cursor are one transaction: after a kill at any instruction, both are there or neither is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text, update

from blocks import clock
from blocks.health import WARNING, Condition
from blocks.store import changed_bodies, event_times, health, hourly_counts, late_or_missed, streams
from blocks.store.engine import writing
from blocks.store.insert import insert_events, legible_body
from blocks.store.integrity import chain
from blocks.store.integrity.digests import body_digest
from blocks.store.prune import pruned_uuids
from blocks.store.streams import StreamClaim
from blocks.store.tables import StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.events_api.models import Api, Event, InvalidItem, Page

_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class PageCounts:
    """What one page brought: events stored now, events already stored, items quarantined.

    `changed`: how many of the events already stored came with a body that is new.
    """

    new: int
    known: int
    quarantined: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class PreparedPage:
    """A page with what is computed from it before the transaction locks out other writers.

    `digests` are the SHA-256 of the bodies, in the order of the events; `copies` are the bodies that the views show for
    events whose own body a database cannot show.
    """

    page: Page
    api: Api
    api_version: str
    digests: Sequence[bytes]
    copies: Sequence[tuple[Event, str]]


def prepare(page: Page, api: Api, api_version: str) -> PreparedPage:
    """Compute everything that needs no transaction, so that the write lock is short."""
    digests = [body_digest(event.body) for event in page.events]
    copies = [(event, shown) for event in page.events if (shown := legible_body(event.body)) is not None]
    return PreparedPage(page, api, api_version, digests, copies)


def commit_page(engine: Engine, claim: StreamClaim, page: Page, *, after: str | None, api_version: str) -> PageCounts:
    """Store a page's events and move the cursor from `after` to the page's own, in one transaction.

    Raises ClaimLostError if the claim was revoked or the cursor is no longer at `after`, and FirstPartyGenericError if
    the database fails. In both cases nothing of the page is stored.
    """
    return commit_prepared(engine, claim, prepare(page, claim.api, api_version), after=after)


def commit_prepared(engine: Engine, claim: StreamClaim, prepared: PreparedPage, *, after: str | None) -> PageCounts:
    """`commit_page` for a page that the reading thread has already prepared."""
    page = prepared.page
    with writing(engine) as connection:
        stream = _move_cursor(connection, claim, page, after, prepared.api_version)
        committed, _ = insert_page(connection, stream, prepared)
        if stream.undecided and committed.known:
            late_or_missed.record_late(connection, stream, page.events)
    return committed


def insert_page(connection: Connection, stream: Row[Any], prepared: PreparedPage) -> tuple[PageCounts, Sequence[Event]]:
    """Store the contents of a page; the transaction has already written the stream's row, and `stream` is that row.

    Returns the counts, and the events that were stored now.
    """
    page, received_ns = prepared.page, clock.now_ns()
    events, digests = _unpruned(connection, stream.id, prepared)
    stored = insert_events(connection, stream.id, received_ns, events)
    values: dict[str, Any] = {}
    new: Sequence[Event] = ()
    if stored.count:
        new = stored.of(events)
        times = [event.time_ns for event in new]
        hourly_counts.increment(connection, stream.id, times)
        links = chain.append(connection, stream, prepared.api_version, received_ns, stored, new, stored.of(digests))
        newest_ns = event_times.later_of(connection, max(times), received_ns)
        values |= {"events": _streams.c.events + stored.count, "newest_ns": newest_ns, **links}
        if (in_future := event_times.future_condition(prepared.api, times, received_ns)) is not None:
            health.begin(connection, stream.source_id, in_future)
    others = stored.rest(events)
    changed = changed_bodies.save(connection, stream, others, prepared.api_version) if others else 0
    quarantined = sum(_quarantine(connection, stream.id, received_ns, item) for item in page.invalid_items)
    if quarantined:
        values["quarantined"] = _streams.c.quarantined + quarantined
    if values:
        connection.execute(update(_streams).where(_streams.c.id == stream.id).values(values))
    _add_copies(connection, stream.id, prepared.copies)
    if quarantined or page.unknown:
        _report_findings(connection, stream, prepared.api, page, quarantined)
    return PageCounts(stored.count, len(page.events) - stored.count, quarantined, changed), new


def _unpruned(
    connection: Connection, stream_id: int, prepared: PreparedPage
) -> tuple[Sequence[Event], Sequence[bytes]]:
    """The events of the page without those pruned earlier, and the digests of their bodies."""
    gone = pruned_uuids(connection, stream_id, prepared.page.events)
    if not gone:
        return prepared.page.events, prepared.digests
    kept = [n for n, event in enumerate(prepared.page.events) if event.uuid not in gone]
    return [prepared.page.events[n] for n in kept], [prepared.digests[n] for n in kept]


def _move_cursor(
    connection: Connection, claim: StreamClaim, page: Page, after: str | None, api_version: str
) -> Row[Any]:
    """Move the cursor by compare-and-swap. It is the first statement, so that ids rise in commit order within a stream.

    Returns the stream's row.
    """
    now_ns = clock.now_ns()
    values: dict[str, Any] = {"cursor": page.cursor, "cursor_version": api_version, **streams.progress_values()}
    if page.cursor != after:
        values["cursor_ns"] = now_ns
    moved = streams.update_under_claim(claim).where(_streams.c.cursor.is_not_distinct_from(after)).values(values)
    return streams.require_claim(connection.execute(moved.returning(_streams)).first(), claim)


def _report_findings(connection: Connection, stream: Row[Any], api: Api, page: Page, quarantined: int) -> None:
    """Report each undocumented member or value once, and quarantined items when the first comes or a reason is new."""
    for undocumented in health.record_undocumented(connection, stream.id, page.unknown):
        health.report(connection, stream.source_id, _undocumented_condition(api, undocumented))
    reasons = {item.reason.partition(":")[0] for item in page.invalid_items} if quarantined else set()
    new = health.record_undocumented(connection, stream.id, [("quarantine", reason, "") for reason in reasons])
    if quarantined:
        condition = _quarantine_condition(api, reasons)
        if not health.begin(connection, stream.source_id, condition) and new:
            health.report(connection, stream.source_id, condition)


def _undocumented_condition(api: Api, undocumented: tuple[str, str, str]) -> Condition:
    kind, path, value = undocumented
    what = f"the member {path}" if kind == "member" else f"{value!r} as {path}"
    return Condition(
        tracker=f"unknown/{api}",
        name="UnknownMember" if kind == "member" else "UnknownValue",
        severity=WARNING,
        description=f"An event of {api} has {what}, which this version does not know. It is kept as it came.",
        api=api,
        hint="See whether your queries and your SIEM's rules need to know it too; a newer version may.",
    )


def _quarantine_condition(api: Api, reasons: set[str]) -> Condition:
    return Condition(
        tracker=f"quarantine/{api}",
        name="EventsQuarantined",
        severity=WARNING,
        description=f"Items of {api} cannot be stored as events: {', '.join(sorted(reasons))}.",
        api=api,
        hint="They are kept byte for byte in the table quarantine, and reading goes on. Please report them.",
    )


def _add_copies(connection: Connection, stream_id: int, copies: Sequence[tuple[Event, str]]) -> None:
    statement = text(
        "INSERT INTO legible_bodies (stream_id, uuid, body) "
        "SELECT stream_id, uuid, :shown FROM events "
        "WHERE stream_id = :stream AND uuid = :uuid AND body = :body "  # only for the stored body, not for a later one
        "ON CONFLICT (stream_id, uuid) DO NOTHING"
    )
    for event, shown in copies:
        values = {"stream": stream_id, "uuid": event.uuid, "body": event.body, "shown": shown}
        connection.execute(statement, values)


def _quarantine(connection: Connection, stream_id: int, received_ns: int, item: InvalidItem) -> int:
    statement = text(
        "INSERT INTO quarantine (stream_id, received_ns, reason, digest, body) "
        "VALUES (:stream, :received, :reason, :digest, :body) ON CONFLICT (stream_id, digest) DO NOTHING"
    )
    digest = hashlib.sha256(item.body).digest()
    values = {"stream": stream_id, "received": received_ns, "reason": item.reason, "digest": digest}
    return connection.execute(statement, {**values, "body": item.body}).rowcount
