"""Values and assertions that many tests share."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks.events_api.models import Api
from blocks.store.sources import SourceRecord

if TYPE_CHECKING:
    from sqlalchemy import Engine

SOURCE = SourceRecord(
    id="0" * 31 + "1",
    name="1Pass",
    description=None,
    category="sec/1password",
    fields={"team": "blue"},
    base_url="https://events.1password.com",
    apis=tuple(Api),
    api_version="v2",
    collect_from=None,
    fingerprint="first",
)


def require_proof(engine: Engine) -> int:
    """Assert that hash chain and counters match the stored events. Returns the number of links.

    Computed from the documented form of a link, independent of the code under test.
    """
    links = 0
    with engine.connect() as connection:
        for stream in connection.execute(text("SELECT * FROM streams")).all():
            of_stream = {"stream": stream.id}
            query = text("SELECT * FROM chain WHERE stream_id = :stream ORDER BY number")
            chain = connection.execute(query, of_stream).all()
            query = text(
                "SELECT id, uuid, time_ns, received_ns, body, NULL AS digest FROM events WHERE stream_id = :stream "
                "UNION ALL SELECT event_id, uuid, time_ns, received_ns, NULL, digest FROM pruned_events "
                "WHERE stream_id = :stream ORDER BY 1"
            )
            events = connection.execute(query, of_stream).all()
            ids = [event.id for event in events]
            before = hashlib.sha256(b"onepassword-source chain 1").digest()
            for number, link in enumerate(chain, 1):
                own = events[bisect_left(ids, link.first_id) : bisect_right(ids, link.last_id)]
                made = before + b"".join(n.to_bytes(8, "big") for n in (number, link.committed_ns, len(own)))
                made += link.api_version.encode() + b"\0"
                made += b"".join(event.time_ns.to_bytes(8, "big", signed=True) for event in own)
                made += "".join(event.uuid + "\n" for event in own).encode()
                made += b"".join(bytes(event.digest or hashlib.sha256(event.body.encode()).digest()) for event in own)
                before = hashlib.sha256(made).digest()
                assert bytes(link.digest) == before
                assert (link.number, link.events) == (number, len(own)) != (number, 0)
                assert (own[0].id, own[-1].id) == (link.first_id, link.last_id)
                assert {event.received_ns for event in own} == {link.committed_ns}
            assert all(one.last_id < next_one.first_id for one, next_one in pairwise(chain))
            assert sum(link.events for link in chain) == len(events)
            newest = (chain[-1].number, bytes(chain[-1].digest), chain[-1].last_id) if chain else (0, None, None)
            assert (stream.link, stream.link_digest and bytes(stream.link_digest), stream.link_id) == newest
            hours = Counter(event.time_ns // (3600 * 10**9) for event in events if event.digest is None)
            kept = connection.execute(
                text("SELECT hour, events FROM hourly_counts WHERE stream_id = :stream"), of_stream
            )
            assert {row.hour: row.events for row in kept} == hours
            links += len(chain)
    return links
