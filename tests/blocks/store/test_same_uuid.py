"""Events with a uuid that is known and another body, in live collection: one event, a revision, a warning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.paths import FIXTURES
from support.values import require_proof

from blocks.events_api.models import Event, Page
from blocks.store import pages, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

BODIES = (FIXTURES / "same_uuid.ndjson").read_text().splitlines()
UUID = json.loads(BODIES[0])["uuid"]
ONE, OTHER = (Event(UUID, 1_700_000_000 * 10**9, body) for body in BODIES)
ANOTHER = Event("ANOTHER", ONE.time_ns + 1, '{"n": 1}')


def commit(engine: Engine, claim: StreamClaim, *events: Event) -> pages.PageCounts:
    after = streams.get(engine, claim.stream_id).cursor
    page = Page(f"{after or ''}+", has_more=False, events=list(events), invalid_items=[])
    return pages.commit_page(engine, claim, page, after=after, api_version="v2")


def stored(rows: Rows) -> tuple[list[object], list[object], int]:
    """The bodies of the events, those of the revisions, and how many warnings there are."""
    assert rows("SELECT DISTINCT severity FROM health_events") in ([], [("Warning",)])
    return (
        [body for (body,) in rows("SELECT body FROM events ORDER BY id")],
        [body for (body,) in rows("SELECT body FROM changed_bodies ORDER BY id")],
        len(rows("SELECT 1 FROM health_events WHERE name = 'EventsChanged'")),
    )


def test_two_items_of_one_page(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    assert commit(engine, claim, ONE, ANOTHER, OTHER).changed == 1
    assert stored(rows) == ([ONE.body, ANOTHER.body], [OTHER.body], 1)
    assert require_proof(engine) == 1


def test_three_bodies_in_one_page(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    third = ONE._replace(body='{"n": 3}')
    assert commit(engine, claim, ONE, OTHER, third, OTHER, ONE).changed == 2
    assert stored(rows) == ([ONE.body], [OTHER.body, third.body], 1)


def test_two_pages(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    commit(engine, claim, ONE)
    assert commit(engine, claim, OTHER, ANOTHER) == pages.PageCounts(1, 1, 0, 1)
    assert stored(rows) == ([ONE.body, ANOTHER.body], [OTHER.body], 1)
    assert rows("SELECT changed FROM streams WHERE changed > 0") == [(1,)]


def test_two_runs_and_a_third(engine: Engine, claim: StreamClaim, rows: Rows) -> None:
    commit(engine, claim, ONE)
    streams.release(engine, claim)
    later = streams.acquire(engine, streams.get(engine, claim.stream_id), "run-2")
    assert later
    for _ in range(3):
        commit(engine, later, OTHER)
    assert stored(rows) == ([ONE.body], [OTHER.body], 1)


@pytest.mark.parametrize("again", [ONE.body, json.dumps(json.loads(ONE.body), sort_keys=True)])
def test_the_same_said_again_is_no_revision(engine: Engine, claim: StreamClaim, rows: Rows, again: str) -> None:
    commit(engine, claim, ONE, ONE._replace(body=again))
    commit(engine, claim, ONE._replace(body=again))
    assert stored(rows) == ([ONE.body], [], 0)


def test_a_page_of_new_events_reads_no_body(
    engine: Engine, claim: StreamClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new costs nothing more."""
    monkeypatch.setattr("blocks.store.changed_bodies.save", None)
    assert commit(engine, claim, ONE, ANOTHER).new == 2
