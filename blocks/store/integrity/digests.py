"""What the digest of a link is made of.

It is the digest of the link before it, its own number, the API version and the time of its commit, and the uuid, the
time and the body's SHA-256 of each of its events in the order of their ids.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from blocks.store.integrity.chain_reader import ChainItem, StoredLink

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


def digest_of(before: bytes, link: StoredLink, items: Sequence[ChainItem]) -> bytes | None:
    """The digest that a link of these events would have; None if one of them has a value that no event can have."""
    uuids, times_ns = [item.uuid for item in items], [item.time_ns for item in items]
    digests = [item.digest for item in items]
    try:
        return link_digest(before, link.number, link.api_version, link.committed_ns, uuids, times_ns, digests)
    except (UnicodeEncodeError, struct.error, TypeError):
        return None
