"""What is written beside the events in the same transaction: the chain, the counts by the hour, the spans read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.values import SOURCE, require_proof

from blocks import clock
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.store import pages, prune, schema, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import JobRequest
from blocks.store.engine import open_engine, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS


def page(numbers: Iterable[int], cursor: str, *, start_ns: int = 1_700_000_000 * 10**9) -> Page:
    events = [Event(f"U{n:04}", start_ns + n * HOUR_NS // 7, f'{{"n": {n}, "text": "ä€😀"}}') for n in numbers]
    return Page(
        cursor, has_more=False, events=events, invalid_items=[InvalidItem("no uuid", b'{"n": %d}' % len(events))]
    )


def commit(engine: Engine, claim: StreamClaim, new_page: Page, after: str | None = None) -> None:
    pages.commit_page(engine, claim, new_page, after=after, api_version="v2")


def test_each_page_that_brings_something_is_a_link(engine: Engine, claim: StreamClaim) -> None:
    commit(engine, claim, page(range(2500), "c1"))
    other = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0], "run-1")
    assert other
    commit(engine, other, page(range(30), "d1"))
    commit(engine, claim, page([2600, *range(2509, 2489, -1), 3, 2505, 2600], "c2"), "c1")  # known, new, and twice
    commit(engine, claim, page([3, 2600], "c3"), "c2")  # all known: no link
    commit(engine, claim, page([], "c4"), "c3")
    assert require_proof(engine) == 3


def test_of_two_bodies_with_one_uuid_the_stored_one_is_in_the_chain(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, page([1, 7], "c1"))
    twice = [Event("A", 5, "{1}"), Event("U0001", 5, "{2}"), Event("B", 6, "{3}"), Event("A", 7, "{4}")]
    commit(engine, claim, Page("c2", has_more=False, events=twice, invalid_items=[]), "c1")
    assert rows("SELECT uuid, body FROM events WHERE id > 2 ORDER BY id") == [("A", "{1}"), ("B", "{3}")]
    assert require_proof(engine) == 2


def test_windows_add_to_the_same_chain(engine: Engine, claim: StreamClaim, source: SourceRecord) -> None:
    commit(engine, claim, page(range(10), "c1"))
    job = jobs.start(engine, JobRequest(jobs.BACKFILL, source.id, (Api.AUDIT,), 0, 2 * DAY_NS), DAY_NS)
    window = windows.acquire(engine, job.id, "run-2")
    assert window
    windows.commit_page(engine, window, page(range(5, 15), "w1"), after=None, api_version="v2", last=True)
    commit(engine, claim, page(range(12, 20), "c2"), "c1")
    assert require_proof(engine) == 3


def test_what_was_pruned_stays_in_the_chain_and_leaves_the_counts(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    commit(engine, claim, page(range(50), "c1", start_ns=clock.now_ns() - 500 * DAY_NS))
    with writing(engine) as connection:  # received long ago, which is in the chain as well
        connection.execute(text("DELETE FROM chain"))
        connection.execute(text("UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL"))
        connection.execute(text("DELETE FROM events"))
        connection.execute(text("DELETE FROM hourly_counts"))
    long_ago = clock.now_ns() - 400 * DAY_NS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_ns", lambda: long_ago)
        again = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run-2", by_force=True)
        assert again
        commit(engine, again, page(range(50), "c2", start_ns=long_ago - 100 * DAY_NS), "c1")
        commit(engine, again, page(range(50, 60), "c3", start_ns=long_ago), "c2")
    old = next(target for target in prune.targets(engine) if target.api == "audit")
    assert sum(prune.prune(engine, old, prune.parse_rule("450d"), wait=lambda _: None)) == 50
    assert require_proof(engine) == 2
    assert rows("SELECT count(*) FROM pruned_events WHERE event_id IS NOT NULL") == [(50,)]
    assert rows("SELECT sum(events) FROM hourly_counts") == [(10,)]


def test_a_store_of_before_knows_its_counts_and_its_span(empty_url: str) -> None:
    engine = open_engine(empty_url)
    schema.upgrade(engine, to="0004")
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO sources (id, name, fields, base_url, apis, api_version, fingerprint, state, state_message,"
                " created_ns) VALUES ('1', 'old', '{}', '', '[]', 'v2', '', '', '', 1)"
            )
        )
        for stream_id, drained in ((1, 90 * DAY_NS), (2, None)):
            connection.execute(
                text("INSERT INTO streams (id, source_id, api, drained_ns) VALUES (:id, '1', :api, :drained)"),
                {"id": stream_id, "api": f"api-{stream_id}", "drained": drained},
            )
            for n in range(10):
                connection.execute(
                    text(
                        "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body)"
                        " VALUES (:id, :uuid, :time, 5, '{}')"
                    ),
                    {"id": stream_id, "uuid": f"U{n}", "time": 80 * DAY_NS + n * HOUR_NS // 2},
                )
    schema.upgrade(engine)
    with engine.connect() as connection:
        hours = connection.execute(text("SELECT hour, events FROM hourly_counts WHERE stream_id = 1 ORDER BY 1")).all()
        spans = connection.execute(text("SELECT stream_id, start_ns, end_ns FROM collected_spans")).all()
    engine.dispose()
    assert list(map(tuple, hours)) == [(80 * 24 + n, 2) for n in range(5)]
    assert list(map(tuple, spans)) == [(1, 80 * DAY_NS, 90 * DAY_NS)]
