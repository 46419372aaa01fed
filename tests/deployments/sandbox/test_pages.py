"""Pages of events: what a full one says, how each fault changes one, and the bytes that are written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from deployments.sandbox.cursors import CursorState, read_cursor, write_cursor
from deployments.sandbox.event_history import EventSlice
from deployments.sandbox.faults import FaultInjector
from deployments.sandbox.pages import PageRequest, ServedPage, read_page, write_page

if TYPE_CHECKING:
    from deployments.sandbox.event_history import Arrivals

SEED = 5
START = CursorState(2, "auditevents", 0, 3, 0, 100)
BODIES = [b'{"uuid":"%d"}' % number for number in range(8)]


@dataclass(frozen=True)
class ListedArrivals:
    """Arrivals at these times, number by number; the same at any time of reading."""

    times: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)

    def read(self, place: CursorState, now_ns: int) -> EventSlice:
        assert now_ns == 200
        inside = [n for n, ns in enumerate(self.times) if n >= place.position and place.start_ns <= ns < place.end_ns]
        numbers = inside[: place.limit]
        return EventSlice([BODIES[n] for n in numbers], numbers, numbers[-1] + 1 if numbers else place.position)


def page(
    kind: str | None = None, place: CursorState = START, times: tuple[int, ...] | None = None, **options: Any
) -> ServedPage:
    fault = FaultInjector().inject({"kind": kind, **options}) if kind else None
    arrivals = ListedArrivals() if times is None else ListedArrivals(times)
    return read_page(PageRequest(cast("Arrivals", arrivals), place, 200), fault, [])


def at(position: int, serial: int = 0) -> CursorState:
    return CursorState(2, "auditevents", position, 3, 0, 100, serial)


def test_a_full_page_has_more_and_its_cursor_is_behind_it() -> None:
    assert page() == ServedPage(BODIES[:3], [0, 1, 2], at(3), has_more=True)
    assert page(place=at(3, serial=4)) == ServedPage(BODIES[3:6], [3, 4, 5], at(6), has_more=True)


def test_a_page_that_is_not_full_is_the_last() -> None:
    assert page(place=at(6)) == ServedPage(BODIES[6:], [6, 7], at(8), has_more=False)


def test_an_empty_page_has_the_cursor_that_was_sent() -> None:
    assert page(place=at(8, serial=2)) == ServedPage([], [], at(8, serial=2), has_more=False)


@pytest.mark.parametrize("kind", ["empty_page", "endless_pages"])
def test_an_empty_page_may_come_first_with_another_cursor(kind: str) -> None:
    assert page(kind, at(3, serial=1)) == ServedPage([], [], at(3, serial=2), has_more=True)


def test_a_stuck_cursor_is_the_one_that_was_sent() -> None:
    assert page("stuck_cursor", at(3, serial=1)) == ServedPage([], [], at(3, serial=1), has_more=True)


def test_a_repeated_page_has_the_cursor_that_was_sent() -> None:
    assert page("repeated_page", at(6)) == ServedPage(BODIES[6:], [6, 7], at(6), has_more=True)


def test_a_delay_changes_nothing_of_the_page() -> None:
    assert page("delay") == page()


def test_a_page_in_reverse_order_has_its_cursor() -> None:
    assert page("reversed") == ServedPage(BODIES[2::-1], [2, 1, 0], at(3), has_more=True)


@pytest.mark.parametrize(("count", "left"), [(0, 3), (1, 2), (3, 0), (4, 0)])
def test_omitted_events_are_the_last_and_the_cursor_is_behind_them(count: int, left: int) -> None:
    expected = ServedPage(BODIES[:left], list(range(left)), at(3), has_more=True)
    assert page("omitted", count=count) == expected


@pytest.mark.parametrize(
    ("where", "numbers"),
    [("within", [3, 4, 5, 3, 4]), ("between", [1, 2, 3, 4, 5]), ("both", [1, 2, 3, 4, 5, 3, 4])],
)
def test_duplicates_are_of_the_page_and_of_the_page_before(where: str, numbers: list[int]) -> None:
    found = page("duplicates", at(3), count=2, where=where)
    assert found == ServedPage([BODIES[number] for number in numbers], numbers, at(6), has_more=True)


def test_before_the_first_page_is_nothing_to_repeat() -> None:
    assert page("duplicates", count=2, where="between") == page()
    assert page("duplicates", at(1), count=5, where="between").numbers == [0, 1, 2, 3]


def test_no_event_of_the_page_is_taken_for_one_of_the_page_before() -> None:
    # Of the three before position 3, one is in the window; to fill its limit the read goes on behind the position.
    found = page("duplicates", at(3), times=(1, 500, 500, 4, 5, 6, 7, 8), count=3, where="between")
    assert found.numbers == [0, 3, 4, 5]
    assert found.bodies == [BODIES[number] for number in found.numbers]


def test_a_page_may_lack_a_member() -> None:
    assert page("no_cursor").absent == {"cursor"}
    assert page("no_has_more").absent == {"has_more"}
    assert page("no_items", at(3)) == ServedPage([], [], at(3, 1), has_more=True, absent=frozenset({"items"}))
    assert page("null_items", at(3)) == ServedPage([], [], at(3, 1), has_more=True, null_items=True)


def test_events_are_altered_by_their_number_in_the_order_of_arrival() -> None:
    injector = FaultInjector()
    injector.inject({"kind": "not_an_object", "every": 2})
    reading = PageRequest(cast("Arrivals", ListedArrivals()), at(3), 200)
    found = read_page(reading, None, injector.of_items("auditevents"))
    assert found.bodies == [BODIES[3], b'"an event"', BODIES[5]]


def text_of(*bodies: bytes, **members: Any) -> str:
    return write_page(
        ServedPage(list(bodies), range(len(bodies)), at(3), **{"has_more": True, **members}), SEED
    ).decode()


CURSOR = write_cursor(at(3), SEED)


def test_the_cursor_is_that_of_the_place() -> None:
    assert read_cursor(json.loads(text_of())["cursor"], SEED) == at(3)


@pytest.mark.parametrize(
    ("bodies", "items"),
    [((), "[]"), ((b"1",), "[1]"), ((b"1", b"2"), "[1,2]"), ((b"1", b"2", b"3"), "[1,2,3]")],
)
def test_events_stand_in_the_page_as_they_are(bodies: tuple[bytes, ...], items: str) -> None:
    assert text_of(*bodies) == f'{{"cursor":"{CURSOR}","has_more":true,"items":{items}}}'


def test_the_bodies_of_a_page_stay_as_they_are() -> None:
    bodies = [b"1", b"2"]
    write_page(ServedPage(bodies, [0, 1], at(3), has_more=False), SEED)
    assert bodies == [b"1", b"2"]


def test_members_may_be_absent_or_null() -> None:
    assert text_of(has_more=False) == f'{{"cursor":"{CURSOR}","has_more":false,"items":[]}}'
    assert text_of(null_items=True) == f'{{"cursor":"{CURSOR}","has_more":true,"items":null}}'
    assert text_of(absent=frozenset({"items"})) == f'{{"cursor":"{CURSOR}","has_more":true}}'
    assert text_of(b"1", absent=frozenset({"cursor"})) == '{"has_more":true,"items":[1]}'
    assert text_of(b"1", absent=frozenset({"has_more"})) == f'{{"cursor":"{CURSOR}","items":[1]}}'
