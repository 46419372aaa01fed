"""A history of events: when they arrive, what a reader gets from where, and what is added to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import DAY, ArrivalPace, EventHistory, EventSlice, read_all
from deployments.sandbox.sample_events import HOUR, SECOND, write_time

UNTIL = "2026-03-04T05:06:07Z"
UNTIL_NS = 1_772_600_767 * SECOND
PACE = ArrivalPace(events=10, until_ns=UNTIL_NS, days=1.0, rate=2.0)
EVERYTHING = CursorState(2, "auditevents", 0, 1000, -(2**62))


def history(api: str = "auditevents", **pace: Any) -> EventHistory:
    return EventHistory(5, api, replace(PACE, **pace))


def times(found: EventSlice) -> list[datetime]:
    return [datetime.fromisoformat(json.loads(body)["timestamp"]) for body in found.bodies]


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(0, -86_400), (1, -77_760), (9, -8640), (10, 30), (11, 60)],
)
def test_the_first_events_end_at_their_end_and_two_a_minute_follow(number: int, seconds: int) -> None:
    assert PACE.arrival_ns(number) == UNTIL_NS + seconds * SECOND


@pytest.mark.parametrize(
    ("seconds", "rate", "arrived"),
    [(-90_000, 2.0, 10), (0, 2.0, 10), (29.999, 2.0, 10), (30, 2.0, 11), (90, 2.0, 13), (90, 0.0, 10), (90, 0.5, 10)],
)
def test_events_arrive_at_the_rate(seconds: float, rate: float, arrived: int) -> None:
    assert replace(PACE, rate=rate).arrived(UNTIL_NS + int(seconds * SECOND)) == arrived


def test_every_event_of_the_start_is_there_in_order_of_arrival() -> None:
    found = history().read(EVERYTHING, UNTIL_NS)
    assert (len(found.bodies), list(found.numbers), found.position) == (10, list(range(10)), 10)
    assert len({json.loads(body)["uuid"] for body in found.bodies}) == 10
    until = datetime.fromisoformat(UNTIL)
    for number, happened in enumerate(times(found)):
        arrived = until - timedelta(days=1) * (10 - number) / 10
        assert timedelta(0) <= arrived - happened < timedelta(seconds=6), "5 s, and a second for what is cut"


def test_item_usages_may_be_a_day_late() -> None:
    held = history("itemusages", events=1000, days=5.0)
    until = datetime.fromisoformat(UNTIL)
    lags = [
        until - timedelta(days=5) * (1000 - number) / 1000 - happened
        for number, happened in enumerate(times(held.read(EVERYTHING, UNTIL_NS)))
    ]
    assert all(timedelta(0) <= lag < timedelta(days=1, seconds=1) for lag in lags)
    at_once = sum(lag <= timedelta(minutes=1, seconds=1) for lag in lags)
    within_an_hour = sum(lag <= timedelta(hours=1, seconds=1) for lag in lags)
    assert 700 < at_once < 810
    assert 930 < within_an_hour < 980
    assert max(lags) > timedelta(hours=20)


def test_both_versions_are_of_the_same_events() -> None:
    older = history().read(replace(EVERYTHING, version=1), UNTIL_NS).bodies
    newer = history().read(EVERYTHING, UNTIL_NS).bodies
    assert [json.loads(body)["uuid"] for body in older] == [json.loads(body)["uuid"] for body in newer]
    assert not any(b"actor_type" in body for body in older)
    assert all(b"actor_type" in body for body in newer)


def test_a_page_begins_at_its_position_and_ends_at_its_limit() -> None:
    held = history()
    page = held.read(replace(EVERYTHING, position=3, limit=4), UNTIL_NS)
    assert (list(page.numbers), page.position) == ([3, 4, 5, 6], 7)
    rest = held.read(replace(EVERYTHING, position=7, limit=4), UNTIL_NS)
    assert (list(rest.numbers), rest.position) == ([7, 8, 9], 10)
    assert held.read(replace(EVERYTHING, position=10), UNTIL_NS) == EventSlice([], [], 10)


def test_a_window_has_its_start_and_not_its_end() -> None:
    held = history(events=0)
    for ns in (100, 300, 200, 400):
        held.append(str(ns).encode(), ns)
    window = replace(EVERYTHING, start_ns=200, end_ns=400)
    assert held.read(window, UNTIL_NS) == EventSlice([b"300", b"200"], [1, 2], 3)
    assert held.read(replace(window, position=2), UNTIL_NS) == EventSlice([b"200"], [2], 3)
    assert held.read(replace(window, position=3), UNTIL_NS) == EventSlice([], [], 3)


def test_events_arrive_as_time_passes_and_once() -> None:
    held = history()
    assert len(held.read(EVERYTHING, UNTIL_NS + 90 * SECOND).bodies) == 13
    assert len(held.read(EVERYTHING, UNTIL_NS + 90 * SECOND).bodies) == 13
    later = held.read(replace(EVERYTHING, position=13), UNTIL_NS + 150 * SECOND)
    assert list(later.numbers) == [13, 14]
    assert all(str(one) > "2026-03-04 05:08:" for one in times(later))


def test_an_appended_event_comes_after_what_arrived_before_it_byte_for_byte() -> None:
    held = history()
    raw = b'{ "note" : "\xc3\xa9" }'
    held.append(raw, UNTIL_NS + 60 * SECOND)
    for version in (1, 2):
        found = held.read(replace(EVERYTHING, version=version, position=10), UNTIL_NS + 90 * SECOND)
        assert (len(found.bodies), found.bodies[2]) == (4, raw)


def test_sample_events_arrive_at_once_and_as_late_as_requested() -> None:
    held = history(rate=0.0)
    held.arrive(2, UNTIL_NS, 20 * HOUR)
    held.arrive(1, UNTIL_NS, None)
    found = held.read(replace(EVERYTHING, position=10), UNTIL_NS)
    assert len({*found.bodies, *held.read(EVERYTHING, UNTIL_NS).bodies}) == 13
    *late, usual = times(found)
    assert {f"{one:%Y-%m-%dT%H:%M:%S}" for one in late} == {"2026-03-03T09:06:07"}
    assert usual > datetime.fromisoformat("2026-03-04T05:06:01Z")


def test_growth_goes_on_after_an_arrival_with_events_of_its_own() -> None:
    alone, added = history(), history()
    added.arrive(1, UNTIL_NS, None)
    later = UNTIL_NS + 60 * SECOND
    assert added.read(replace(EVERYTHING, position=11), later).bodies == (
        alone.read(replace(EVERYTHING, position=10), later).bodies
    )


def test_numbers_may_begin_elsewhere() -> None:
    first, second = EventHistory(5, "auditevents", PACE), EventHistory(5, "auditevents", PACE, first_number=1)
    assert not {*first.read(EVERYTHING, UNTIL_NS).bodies} & {*second.read(EVERYTHING, UNTIL_NS).bodies}


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
def test_all_pages_together_are_every_event(limit: int) -> None:
    held = history()
    pages = [page.bodies for page in read_all(held, replace(EVERYTHING, limit=limit), UNTIL_NS)]
    assert {len(page) for page in pages[:-1]} <= {limit}
    assert [body for page in pages for body in page] == held.read(EVERYTHING, UNTIL_NS).bodies


def test_a_day_has_24_hours() -> None:
    assert (DAY, write_time(UNTIL_NS - DAY)) == (86_400 * SECOND, "2026-03-03T05:06:07Z")
