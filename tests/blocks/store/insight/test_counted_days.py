"""Stored counts of days: valid while the stream has as many events, and always to be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.indexed_events import DAY_NS, HOUR_NS, NOON_NS, CollectedEvents, index_all

from blocks.events_api.models import Api
from blocks.store import lifecycle
from blocks.store.insight import counted_days
from blocks.store.insight.counted_days import CountsCache, count_stale_days, read_past, read_span, uncounted_days

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]

TODAY = NOON_NS // DAY_NS
YESTERDAY_NS = NOON_NS - DAY_NS
STORED = "SELECT day, events FROM insight_days ORDER BY day"


def counted_events(collected: CollectedEvents, since_ns: int, until_ns: int, seconds: float = 60.0) -> tuple[int, int]:
    """How many events a span has, and how many are missing in it."""
    streams = {collected.stream_id(api): api.value for api in Api}
    span = read_span(collected.engine, streams, since_ns, until_ns, seconds=seconds)
    return sum(counts.events for counts in span.by_api.values()), span.missing


def count_all(engine: Engine) -> int:
    days = 0
    while number := count_stale_days(engine, 2):
        days += number
    return days


def test_past_days_are_stored_and_today_is_counted_when_it_is_shown(collected: CollectedEvents, rows: Rows) -> None:
    for day in range(3):
        collected.sign_in(f"s{day}", NOON_NS - day * DAY_NS)
        collected.item_usage(f"i{day}", NOON_NS - day * DAY_NS)
    index_all(collected.engine)
    assert count_all(collected.engine) == 4
    assert count_all(collected.engine) == 0
    assert rows(STORED) == [(TODAY - 2, 1), (TODAY - 2, 1), (TODAY - 1, 1), (TODAY - 1, 1)]
    assert counted_events(collected, NOON_NS - 3 * DAY_NS, NOON_NS + 1) == (6, 0)


def test_a_late_event_makes_a_day_invalid_and_it_is_counted_again(collected: CollectedEvents, rows: Rows) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(collected.engine)
    count_all(collected.engine)
    collected.sign_in("late", YESTERDAY_NS + 1)
    whole = (TODAY - 1) * DAY_NS, TODAY * DAY_NS
    assert counted_events(collected, *whole) == (1, 1), "it is not indexed yet"
    assert count_all(collected.engine) == 0, "there is nothing new to count in the index"
    index_all(collected.engine)
    assert counted_events(collected, *whole) == (2, 0), "counted now, past the stored day"
    assert rows(STORED) == [(TODAY - 1, 1)]
    assert count_all(collected.engine) == 1
    assert rows(STORED) == [(TODAY - 1, 2)]


def test_a_stored_day_is_used(collected: CollectedEvents, engine: Engine) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    count_all(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM event_index"))
    assert counted_events(collected, (TODAY - 1) * DAY_NS, TODAY * DAY_NS) == (1, 0)


def test_counts_of_another_version_are_made_again(collected: CollectedEvents, engine: Engine) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    count_all(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE insight_days SET counts = :data"), {"data": b"\xc1"})
    assert counted_events(collected, (TODAY - 1) * DAY_NS, TODAY * DAY_NS) == (1, 0)
    assert read_past(engine, [collected.stream_id(Api.SIGN_IN)], TODAY - 2, TODAY) == []


def test_what_takes_too_long_is_missing(collected: CollectedEvents) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(collected.engine)
    assert counted_events(collected, (TODAY - 1) * DAY_NS, TODAY * DAY_NS, seconds=0) == (0, 1)


def test_a_day_without_events_is_removed(collected: CollectedEvents, engine: Engine, rows: Rows) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    count_all(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM hourly_counts"))
    assert count_stale_days(engine, 10) == 1
    assert rows(STORED) == []


def test_a_purge_removes_the_counts_of_a_source(collected: CollectedEvents, engine: Engine, rows: Rows) -> None:
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    count_all(engine)
    source = lifecycle.find_by_id(engine, collected.source.id)
    assert source
    lifecycle.finish_deletion(engine, source)
    lifecycle.purge(engine, source)
    assert rows(STORED) == []


def test_events_before_1970_have_their_day(collected: CollectedEvents, engine: Engine) -> None:
    collected.sign_in("old", -1)
    collected.sign_in("older", -25 * HOUR_NS)
    index_all(engine)
    assert counted_events(collected, -2 * DAY_NS, 0) == (2, 0)
    assert counted_events(collected, -DAY_NS, 0) == (1, 0)
    assert uncounted_days(engine, [collected.stream_id(Api.SIGN_IN)], -3, 3) == 2


def test_many_streams_take_several_statements(collected: CollectedEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_days, "STREAMS_MAX", 1)
    for api, add in ((Api.SIGN_IN, collected.sign_in), (Api.AUDIT, collected.audit)):
        add(f"{api}", YESTERDAY_NS)
    collected.sign_in("today", NOON_NS - 1)
    index_all(collected.engine)
    assert counted_events(collected, YESTERDAY_NS, NOON_NS) == (3, 0)
    assert counted_events(collected, (TODAY - 1) * DAY_NS, NOON_NS) == (3, 0)


def test_what_was_summed_is_not_read_again_until_an_event_comes(
    collected: CollectedEvents, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    real = counted_days._stored
    monkeypatch.setattr(counted_days, "_stored", lambda *span: reads.append(span) or real(*span))
    collected.sign_in("a", YESTERDAY_NS)
    index_all(engine)
    count_all(engine)
    cache, streams = CountsCache(), {collected.stream_id(Api.SIGN_IN): "sign-in"}

    def events() -> int:
        span = read_span(engine, streams, (TODAY - 1) * DAY_NS, NOON_NS + 1, cache=cache)
        return span.by_api["sign-in"].events

    assert (events(), events(), len(reads)) == (1, 1, 1)
    collected.sign_in("today", NOON_NS)
    index_all(engine)
    assert (events(), len(reads)) == (2, 1), "the current day is counted each time"
    collected.sign_in("late", YESTERDAY_NS)
    index_all(engine)
    assert (events(), len(reads)) == (3, 2)


def test_the_cache_forgets_what_was_used_least_lately() -> None:
    cache = CountsCache(2)
    for key in ("a", "b"):
        cache.keep(key, key.upper())
    assert cache.find("a") == "A"
    cache.keep("c", "C")
    assert [cache.find(key) for key in ("a", "b", "c")] == ["A", None, "C"]
