"""The hash chain of a stream: one link for each committed page that brought something new.

A link's digest is made of the digest of the link before it, its own number, the API version and the time of its
commit, and of the uuid, the time and the body's SHA-256 of each of its events in the order of their ids. So
committed events cannot be changed, removed, added or reordered without changing every digest from there on. The digest
of a body stays when its event is pruned, so the chain can still be verified.

An attacker who can write the whole database can compute a whole new chain. So keep checkpoints outside of the store
(see `checkpoints`): a rewritten chain does not match an earlier checkpoint.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

    from blocks.events_api.models import Event
    from blocks.store.insert import InsertedEvents


ORIGIN = hashlib.sha256(b"onepassword-source chain 1").digest()
"""The digest before the first link."""


def body_digest(body: str) -> bytes:
    """The SHA-256 of a body, as it stays in `pruned_events`."""
    return hashlib.sha256(body.encode()).digest()


def link_digest(  # noqa: PLR0917 - what a link is made of, in its order
    before: bytes,
    number: int,
    api_version: str,
    committed_ns: int,
    uuids: Sequence[str],
    times_ns: Sequence[int],
    body_digests: Iterable[bytes],
) -> bytes:
    """The digest of a link; `before` is that of the link before it, or ORIGIN. One item of each for each event.

    SHA-256 of: `before`; number, commit time, count of events (big-endian 64-bit each); the API version and a NUL;
    the times (likewise 64-bit); each uuid in UTF-8 and a newline; each body's SHA-256.
    """
    link = hashlib.sha256(before)
    link.update(
        struct.pack(f">qqq{len(api_version.encode())}sx", number, committed_ns, len(uuids), api_version.encode())
    )
    link.update(struct.pack(f">{len(times_ns)}q", *times_ns))
    link.update("".join([f"{uuid}\n" for uuid in uuids]).encode())
    link.update(b"".join(body_digests))
    return link.digest()


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
