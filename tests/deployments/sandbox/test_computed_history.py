"""Any number of events without memory: where they are, when they happened, and what comes after them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from deployments.sandbox.computed_history import ComputedHistory
from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import ArrivalPace, EventSlice, read_all
from deployments.sandbox.sample_events import SECOND
from deployments.sandbox.vocabulary import APIS

UNTIL = datetime.fromisoformat("2026-03-04T05:06:07Z")
UNTIL_NS = 1_772_600_767 * SECOND
EVERYTHING = CursorState(2, "auditevents", 0, 1000, -(2**62))


def computed(events: int = 2500, *, api: str = "auditevents", seed: int = 5, **pace: Any) -> ComputedHistory:
    return ComputedHistory(
        seed, api, ArrivalPace(**{"days": 1.0, "rate": 0.0, **pace}, events=events, until_ns=UNTIL_NS)
    )


def whole(held: ComputedHistory, now_ns: int = UNTIL_NS, **place: Any) -> list[bytes]:
    return [body for page in read_all(held, replace(EVERYTHING, **place), now_ns) for body in page.bodies]


@cache
def ordinary() -> tuple[bytes, ...]:
    """The 2,500 events of `computed()`."""
    return tuple(whole(computed()))


def times(bodies: list[bytes]) -> list[datetime]:
    return [datetime.fromisoformat(json.loads(body)["timestamp"]) for body in bodies]


def ns_of(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.parametrize("events", [0, 1, 999, 1000, 1001, 2500])
def test_it_holds_exactly_the_requested_number_each_with_its_own_uuid(events: int) -> None:
    bodies = whole(computed(events))
    assert len({json.loads(body)["uuid"] for body in bodies}) == len(bodies) == events


def test_uuids_have_no_prefix_in_common() -> None:
    uuids = [json.loads(body)["uuid"] for body in ordinary()]
    assert all(re.fullmatch("[A-Z2-7]{26}", uuid) for uuid in uuids)
    assert len({uuid[:4] for uuid in uuids}) > 2450


@pytest.mark.parametrize("api", APIS)
def test_both_versions_have_the_same_uuids_and_times(api: str) -> None:
    older, newer = ([json.loads(body) for body in whole(computed(1100, api=api), version=n)] for n in (1, 2))
    assert [event["uuid"] for event in older] == [event["uuid"] for event in newer]
    assert [event["timestamp"] for event in older] == [event["timestamp"] for event in newer]
    assert not any("account_uuid" in event for event in older)
    assert any("account_uuid" in event for event in newer)
    assert {event.keys() >= {"uuid", "timestamp"} for event in newer} == {True}


def test_one_seed_makes_the_same_bytes() -> None:
    assert tuple(whole(computed())) == ordinary()
    assert not {*ordinary()} & {*whole(computed(seed=6))}


@pytest.mark.parametrize(
    ("events", "days", "minutes"),
    # Whole minutes for each block of 1000: 1440 / 3 = 480, 1440 / 7 = 205.7; at least one.
    [(2500, 1.0, 480 * 3), (7000, 1.0, 205 * 7), (500, 2.0, 2880), (3000, 0.001, 3)],
)
def test_times_rise_through_the_days_before_the_end(events: int, days: float, minutes: int) -> None:
    found = times(whole(computed(events, days=days)))
    assert found == sorted(found)
    end = UNTIL.replace(second=0)
    begin = end - timedelta(minutes=minutes)
    assert begin <= found[0]
    assert found[-1] < end
    each = (end - begin) / (-(-events // 1000))
    for block in range(0, events, 1000):
        start = begin + each * (block // 1000)
        assert all(start <= one < start + each for one in found[block : block + 1000])


def test_times_have_zero_to_nine_digits_and_no_trailing_zero() -> None:
    texts = [json.loads(body)["timestamp"] for body in ordinary()]
    assert all(re.fullmatch(r"2026-03-0[34]T\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", text) for text in texts)
    assert {len(text.partition(".")[2].rstrip("Z")) for text in texts} == set(range(10))


@pytest.mark.parametrize(("position", "limit"), [(0, 1000), (1, 1000), (999, 1), (999, 2), (1000, 1000), (1500, 1000)])
def test_pages_that_begin_anywhere_are_the_same_events(position: int, limit: int) -> None:
    held = computed()
    page = held.read(replace(EVERYTHING, position=position, limit=limit), UNTIL_NS)
    last = position + limit
    assert (*page.bodies,) == ordinary()[position:last]
    assert list(page.numbers) == list(range(position, last))
    assert page.position == last


def test_the_last_page_is_short_and_after_it_is_nothing() -> None:
    held = computed()
    assert len(held.read(replace(EVERYTHING, position=2400), UNTIL_NS).bodies) == 100
    assert held.read(replace(EVERYTHING, position=2500), UNTIL_NS) == EventSlice([], [], 2500)


def test_windows_hold_what_happened_in_them_and_side_by_side_they_hold_it_all() -> None:
    held = computed(3000, days=2.0)
    ends = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]
    windows = [
        whole(held, start_ns=ns_of(f"{start}T00:00:00Z"), end_ns=ns_of(f"{end}T00:00:00Z"), limit=300)
        for start, end in pairwise(ends)
    ]
    assert [body for window in windows for body in window] == whole(held)
    assert windows[0] == []
    for day, window in zip(ends[1:], windows[1:], strict=False):
        assert window
        assert {json.loads(body)["timestamp"][:10] for body in window} == {day}


def test_a_window_has_its_start_and_not_its_end() -> None:
    held = computed(10)
    second, fifth = (json.loads(whole(held)[number])["timestamp"] for number in (2, 5))
    start_ns, end_ns = (ns_of(text) + int(text.rstrip("Z").ljust(30, "0")[20:29]) for text in (second, fifth))
    assert whole(held, start_ns=start_ns, end_ns=end_ns) == whole(held)[2:5]


def test_what_is_appended_comes_after_the_computed_events_byte_for_byte() -> None:
    held = computed(1500)
    held.append(b"one", UNTIL_NS)
    held.append(b"two", UNTIL_NS)
    for version in (1, 2):
        page = held.read(replace(EVERYTHING, version=version, position=1000), UNTIL_NS)
        assert (page.bodies[-2:], list(page.numbers), page.position) == (
            [b"one", b"two"],
            list(range(1000, 1502)),
            1502,
        )
    first = held.read(replace(EVERYTHING, position=1000, limit=501), UNTIL_NS)
    assert (first.bodies[-1], first.position) == (b"one", 1501)
    second = held.read(replace(EVERYTHING, position=1501), UNTIL_NS)
    assert second == EventSlice([b"two"], [1501], 1502)
    assert held.read(replace(EVERYTHING, position=1502), UNTIL_NS) == EventSlice([], [], 1502)


def test_a_full_page_of_computed_events_has_none_that_was_added() -> None:
    held = computed(1000)
    held.append(b"one", UNTIL_NS)
    assert held.read(EVERYTHING, UNTIL_NS).position == 1000
    assert held.read(replace(EVERYTHING, position=1000), UNTIL_NS) == EventSlice([b"one"], [1000], 1001)


def test_a_window_may_hold_added_events_alone() -> None:
    held = computed(1500)
    held.append(b"old", 5)
    assert held.read(replace(EVERYTHING, end_ns=6), UNTIL_NS) == EventSlice([b"old"], [1500], 1501)


def test_it_grows_behind_its_events() -> None:
    held = computed(1500, rate=2.0)
    grown = whole(held, UNTIL_NS + 90 * SECOND)
    assert grown[:1500] == whole(computed(1500))
    assert len({json.loads(body)["uuid"] for body in grown}) == len(grown) == 1503
    assert times(grown[1500:]) == sorted(times(grown[1500:]))
    assert times(grown)[1500] > UNTIL


def test_sample_events_arrive_late() -> None:
    held = computed(5)
    held.arrive(2, UNTIL_NS, 3600 * SECOND)
    late = whole(held)[5:]
    assert len({*late}) == 2
    assert {f"{one:%H:%M:%S}" for one in times(late)} == {"04:06:07"}
