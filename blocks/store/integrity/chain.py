"""Append to the hash chain of a stream: one link for each committed page that brought something new.

`digests` says what a link's digest is made of. So committed events cannot be changed, removed, added or reordered
without changing every digest from there on. The digest of a body stays when its event is pruned, so the chain can still
be verified.

An attacker who can write the whole database can compute a whole new chain. So keep checkpoints outside of the store
(see `checkpoints`): a rewritten chain does not match an earlier checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.store.integrity.digests import ORIGIN, link_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from blocks.events_api.models import Event
    from blocks.store.insert import InsertedEvents


def append(  # noqa: PLR0917 - what a link is made of
    connection: Connection,
    stream: Row[Any],
    api_version: str,
    committed_ns: int,
    stored: InsertedEvents,
    events: Sequence[Event],
    digests: Sequence[bytes],
) -> dict[str, Any]:
    """Append the link of a page: its newly stored events, in the order of their ids.

    Returns the new values of the stream's row, `stream`, which the transaction has already written.
    """
    number = stream.link + 1
    uuids, times_ns = [event.uuid for event in events], [event.time_ns for event in events]
    before = stream.link_digest or ORIGIN
    digest = link_digest(before, number, api_version, committed_ns, uuids, times_ns, digests)
    row = {
        "stream_id": stream.id,
        "number": number,
        "first_id": stored.first_id,
        "last_id": stored.last_id,
        "events": stored.count,
        "api_version": api_version,
        "committed_ns": committed_ns,
        "digest": digest,
    }
    connection.execute(_INSERT, row)
    return {"link": number, "link_digest": digest, "link_id": stored.last_id}


# Plain SQL instead of the table: a command that only walks a chain starts without SQLModel.
_INSERT = text(
    "INSERT INTO chain (stream_id, number, first_id, last_id, events, api_version, committed_ns, digest) "
    "VALUES (:stream_id, :number, :first_id, :last_id, :events, :api_version, :committed_ns, :digest)"
)
