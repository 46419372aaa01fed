"""A page: its events, the next cursor, and whether there is more. Faults of stage `page` change it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployments.sandbox.cursors import CursorState, write_cursor
from deployments.sandbox.item_faults import alter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployments.sandbox.event_history import Arrivals
    from deployments.sandbox.faults import InjectedFault


@dataclass(frozen=True)
class ServedPage:
    """`place` is the begin of the next page, `absent` the members to leave out; `null_items` writes null."""

    bodies: list[bytes]
    numbers: Sequence[int]
    place: CursorState
    has_more: bool
    absent: frozenset[str] = frozenset()
    null_items: bool = False


@dataclass(frozen=True)
class PageRequest:
    """What a page is read from."""

    arrivals: Arrivals
    place: CursorState
    now_ns: int


def read_page(reading: PageRequest, fault: InjectedFault | None, item_faults: list[InjectedFault]) -> ServedPage:
    """has_more means that the page is full: the next one may be empty, as the API's reference warns."""
    found = reading.arrivals.read(reading.place, reading.now_ns)
    place = replace(reading.place, position=found.position, serial=0)
    page = ServedPage(found.bodies, found.numbers, place, len(found.bodies) == reading.place.limit)
    if not found.bodies:
        page = replace(page, place=reading.place)
    if fault is not None:
        page = _ALTERATIONS[fault.kind](page, reading, fault.options)
    return replace(page, bodies=alter(page.bodies, page.numbers, item_faults))


def write_page(page: ServedPage, seed: int) -> bytes:
    members = {
        "cursor": f'"{write_cursor(page.place, seed)}"',
        "has_more": "true" if page.has_more else "false",
        "items": "null" if page.null_items else "[",
    }
    kept = [f'"{name}":{value}' for name, value in members.items() if name not in page.absent]
    head = "{" + ",".join(kept)
    return _enclose(head.encode(), page.bodies, b"]}" if head.endswith("[") else b"}")


def _enclose(head: bytes, bodies: list[bytes], tail: bytes) -> bytes:
    """A page of 600 kB is copied once, not for each bracket: the speed of the sandbox depends on this."""
    if not bodies:
        return head + tail
    parts = bodies.copy()
    parts[0] = head + parts[0]
    parts[-1] += tail
    return b",".join(parts)


def _empty(reading: PageRequest, *, moves: bool = True) -> ServedPage:
    serial = reading.place.serial + moves
    return ServedPage([], [], replace(reading.place, serial=serial), has_more=True)


def _duplicates(page: ServedPage, reading: PageRequest, options: dict[str, Any]) -> ServedPage:
    count, where = options["count"], options["where"]
    bodies, numbers = list(page.bodies), list(page.numbers)
    again = (bodies[:count], numbers[:count]) if where in ("both", "within") else ([], [])
    before = _before(reading, count) if where in ("both", "between") else ([], [])
    return replace(page, bodies=before[0] + bodies + again[0], numbers=before[1] + numbers + again[1])


def _before(reading: PageRequest, count: int) -> tuple[list[bytes], list[int]]:
    place = reading.place
    back = max(0, place.position - count)
    if back == place.position:
        return [], []
    found = reading.arrivals.read(replace(place, position=back, limit=place.position - back), reading.now_ns)
    kept = [(body, number) for body, number in zip(found.bodies, found.numbers, strict=True) if number < place.position]
    return [body for body, _ in kept], [number for _, number in kept]


def _without_last(page: ServedPage, count: int) -> ServedPage:
    kept = max(len(page.bodies) - count, 0)
    return replace(page, bodies=page.bodies[:kept], numbers=page.numbers[:kept])


_ALTERATIONS: dict[str, Callable[[ServedPage, PageRequest, dict[str, Any]], ServedPage]] = {
    "delay": lambda page, _reading, _options: page,
    "empty_page": lambda _page, reading, _options: _empty(reading),
    "endless_pages": lambda _page, reading, _options: _empty(reading),
    "stuck_cursor": lambda _page, reading, _options: _empty(reading, moves=False),
    "repeated_page": lambda page, reading, _options: replace(page, place=reading.place, has_more=True),
    "duplicates": _duplicates,
    "omitted": lambda page, _reading, options: _without_last(page, options["count"]),
    "reversed": lambda page, _reading, _options: replace(page, bodies=page.bodies[::-1], numbers=page.numbers[::-1]),
    "null_items": lambda _page, reading, _options: replace(_empty(reading), null_items=True),
    "no_items": lambda _page, reading, _options: replace(_empty(reading), absent=frozenset({"items"})),
    "no_cursor": lambda page, _reading, _options: replace(page, absent=frozenset({"cursor"})),
    "no_has_more": lambda page, _reading, _options: replace(page, absent=frozenset({"has_more"})),
}
