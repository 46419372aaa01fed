"""Counts agree with the events that the search finds."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.indexed_events import DAY_NS, HOUR_NS, NOON_NS, CollectedEvents, index_all

from blocks.store.search import counts
from blocks.store.search.counts import ValueCount, frequent_values, histogram, suggest
from blocks.store.search.query import SearchQuery
from blocks.store.search.results import search

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def collected(engine: Engine) -> CollectedEvents:
    return CollectedEvents(engine)


@pytest.mark.parametrize("query", [{}, {"members": {"user": ("BO",)}}, {"failed": True}, {"text": "bo@"}])
@pytest.mark.parametrize("bucket_ns", [HOUR_NS, 7 * HOUR_NS, DAY_NS, 5 * DAY_NS])
def test_a_histogram_counts_what_a_search_finds(
    engine: Engine, collected: CollectedEvents, query: dict[str, object], bucket_ns: int
) -> None:
    own = random.Random(3)  # noqa: S311
    for number in range(40):
        time_ns = NOON_NS - own.randrange(5 * DAY_NS)
        user = own.choice(["ANA", "BO"])
        category = own.choice(["success", "mfa_failed"])
        collected.sign_in(f"E{number}", time_ns, target_user={"uuid": user, "email": f"{user}@"}, category=category)
    index_all(engine)
    wanted = SearchQuery(since_ns=NOON_NS - 4 * DAY_NS, until_ns=NOON_NS - HOUR_NS, **query)  # type: ignore[arg-type]
    events = search(engine, wanted).events
    found = histogram(engine, wanted, bucket_ns, seconds=60)
    buckets = Counter((event.time_ns - found.since_ns) // bucket_ns for event in events)
    assert found.since_ns == wanted.since_ns // bucket_ns * bucket_ns
    assert found.counts == tuple(buckets[place] for place in range(len(found.counts)))
    assert (found.total, found.is_complete) == (len(events), True)
    assert events


@pytest.mark.parametrize("searched", ["", "ana"])
def test_a_histogram_stops_when_its_time_is_over(engine: Engine, collected: CollectedEvents, searched: str) -> None:
    for number in range(5):
        collected.audit(f"A{number}", NOON_NS + number * DAY_NS)
    index_all(engine)
    query = SearchQuery(since_ns=NOON_NS, until_ns=NOON_NS + 4 * DAY_NS + 1, text=searched)
    found = histogram(engine, query, DAY_NS, seconds=0)
    assert not found.is_complete
    assert found.counted_from_ns > NOON_NS
    assert found.counts == (0, 0, 0, 0, 1), "the newest come first"


def test_too_many_buckets_are_an_error(engine: Engine) -> None:
    with pytest.raises(ValueError, match="401 buckets are more than 400"):
        histogram(engine, SearchQuery(since_ns=0, until_ns=401), 1)


def test_the_most_frequent_values_have_names_and_counts(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A", NOON_NS)
    collected.audit("B", NOON_NS + 1, actor_uuid="BO", actor_details={})
    collected.item_usage("C", NOON_NS + 2)
    index_all(engine)
    found = frequent_values(engine, SearchQuery())
    assert (found.events, found.is_cut) == (3, False)
    assert found.members["user"] == (ValueCount("ANA", 2, "ana@example.org"), ValueCount("BO", 1, "bo@example.org"))
    assert found.members["action"] == (ValueCount("reveal", 1), ValueCount("grant", 2))[::-1]
    assert frequent_values(engine, SearchQuery(members={"user": ("unknown",)})).members == {}


def test_more_events_than_are_looked_at_are_said(
    engine: Engine, collected: CollectedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "NEWEST", 2)
    for number in range(3):
        collected.audit(f"A{number}", NOON_NS + number)
    index_all(engine)
    found = frequent_values(engine, SearchQuery())
    assert (found.events, found.is_cut) == (2, True)


def test_a_form_suggests_values_that_events_have(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A")
    collected.item_usage("I", item_uuid="100%")
    collected.item_usage("J", item_uuid="100x")
    index_all(engine)
    assert suggest(engine, "user", "bo@") == [ValueCount("BO", 0, "bo@example.org")]
    assert suggest(engine, "user", "TEST") == [
        ValueCount("ANA", 0, "ana@example.org"),
        ValueCount("BO", 0, "bo@example.org"),
    ]
    assert [value.value for value in suggest(engine, "item", "100%")] == ["100%"]
    assert suggest(engine, "action", "gr") == [ValueCount("grant", 0)]


def test_the_span_is_from_the_oldest_to_the_newest_event(engine: Engine, collected: CollectedEvents) -> None:
    assert counts.span(engine) is None
    collected.audit("A", NOON_NS + 5)
    collected.audit("B", NOON_NS)
    index_all(engine)
    assert counts.span(engine) == (NOON_NS, NOON_NS + 5)
