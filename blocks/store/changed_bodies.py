"""Events whose body the server changed after they were stored. The event stays; the new body is stored beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from blocks import clock
from blocks.health import WARNING, Condition, tracker_of
from blocks.store import health
from blocks.store.integrity import digests
from blocks.store.on_conflict import insert_new
from blocks.store.tables import ChainLinkRow, ChangedBodyRow, EventRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from blocks.events_api.models import Event

NAMED = 5  # the most uuids in a health event; all of them are in the table

_chain = table_of(ChainLinkRow)
_events = table_of(EventRow)
_revisions = table_of(ChangedBodyRow)
_streams = table_of(StreamRow)


def save(connection: Connection, stream: Row[Any], events: Sequence[Event], api_version: str) -> int:
    """Store the bodies that differ from the stored ones, each once, and report them. Returns how many are new.

    `events` are received events whose uuids were stored already. Two cases are no change: the same members in another
    order, and a body that another version of the API sent. For events that were stored before the store recorded
    versions, no change can be shown. Call it in a transaction that has written the stream's row; `stream` is that row.
    """
    differing = _differing(connection, stream.id, events, api_version)
    new = [event for event in differing if _insert(connection, stream.id, event, api_version)]
    if new:
        increment = update(_streams).where(_streams.c.id == stream.id).values(changed=_streams.c.changed + len(new))
        connection.execute(increment)
        health.report(connection, stream.source_id, _changed(stream.api, new))
    return len(new)


def _differing(connection: Connection, stream_id: int, known: Sequence[Event], api_version: str) -> list[Event]:
    query = select(_events.c.id, _events.c.uuid, _events.c.body).where(_events.c.stream_id == stream_id)
    uuids = list({event.uuid for event in known})
    stored = {row.uuid: row for row in connection.execute(query.where(_events.c.uuid.in_(uuids)))}
    pairs = [(event, row) for event in known if (row := stored.get(event.uuid)) and row.body != event.body]
    return [
        event
        for event, row in pairs
        if _differ(row.body, event.body) and _version_of(connection, stream_id, row.id) == api_version
    ]


def _differ(one: str, other: str) -> bool:
    try:
        return bool(msgspec.json.decode(one) != msgspec.json.decode(other))
    except (msgspec.DecodeError, RecursionError):  # legal JSON that msgspec rejects, such as a lone surrogate
        return True


def _version_of(connection: Connection, stream_id: int, event_id: int) -> str | None:
    """The version of the API under which an event was stored, read from its chain link."""
    link = select(_chain.c.first_id, _chain.c.api_version).where(
        _chain.c.stream_id == stream_id, _chain.c.last_id >= event_id
    )
    row = connection.execute(link.order_by(_chain.c.last_id).limit(1)).first()
    return row.api_version if row is not None and row.first_id <= event_id else None


def _insert(connection: Connection, stream_id: int, event: Event, api_version: str) -> bool:
    row = {
        "stream_id": stream_id,
        "uuid": event.uuid,
        "received_ns": clock.now_ns(),
        "api_version": api_version,
        "digest": digests.body_digest(event.body),
        "body": event.body,
    }
    return insert_new(connection, _revisions, row)


def _changed(api: str, events: Sequence[Event]) -> Condition:
    uuids = ", ".join(event.uuid for event in events[:NAMED])
    further = f" and {len(events) - NAMED:,} more" if len(events) > NAMED else ""
    what = "one event" if len(events) == 1 else f"{len(events):,} events"
    return Condition(
        tracker_of("changed", api),
        "EventsChanged",
        WARNING,
        f"1Password has changed {what} of {api} since: {uuids}{further}.",
        api,
        error_code="changed",
        hint="The events stay as first received. The new bodies are in the table changed_bodies.",
    )
