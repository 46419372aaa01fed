"""Any number of events without memory: pages are assembled from bodies that were created before.

A block of 1000 events is a pure function of (seed, API, block). It consists of the same 1000 bodies, each cut at its
uuid and its time, with new uuids (random over all 26 characters, so that an index on them grows as in production) and
times that rise through the days.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from deployments.sandbox.event_history import ArrivalPace, EventHistory, EventSlice
from deployments.sandbox.sample_account import ID_LENGTH, UPPER
from deployments.sandbox.sample_events import SECOND, EventTime, make_body, random_for, write_fraction, write_time

if TYPE_CHECKING:
    from deployments.sandbox.cursors import CursorState

BLOCK = 1000
BLOCKS_KEPT = 16  # of an API: some 10 MB
MINUTES_A_DAY = 1440
MINUTE_NS = 60 * SECOND

_TO_BASE32 = bytes(UPPER.encode()[value % 32] for value in range(256))
_MINUTES = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:".encode() for minute in range(MINUTES_A_DAY))


@dataclass(frozen=True)
class CutBodies:
    """The bodies of a block, cut at their uuids and times."""

    heads: list[bytes]
    """Each ends before the uuid."""
    middles: list[bytes]
    """Each ends before the time."""
    tails: list[bytes]
    """Each begins with the seconds of the time."""
    offset_minutes: list[int]
    """Minutes from the start of the block to the event."""

    def add(self, body: bytes, offset_ns: int) -> None:
        start = body.index(b'"uuid":"') + len(b'"uuid":"')
        middle, tail = body[start + ID_LENGTH :].split(_MARKED.text.encode(), 1)
        self.heads.append(body[:start])
        self.middles.append(middle)
        self.tails.append(_seconds_text(offset_ns % MINUTE_NS) + tail)


class ComputedHistory:
    """`pace.events` events that end at `pace.until_ns`, then the events that are added or grow.

    Times are spread evenly over at least `pace.days`, block by block: if the last block is not full, its events end
    earlier. No event is late.
    """

    def __init__(self, seed: int, api: str, pace: ArrivalPace) -> None:
        size = pace.events
        self._seed = seed
        self._api = api
        self._size = size
        self._added = EventHistory(seed, api, replace(pace, events=0), first_number=size)
        blocks = max(1, -(-size // BLOCK))
        self._minutes_a_block = max(1, int(pace.days * MINUTES_A_DAY) // blocks)
        self._first_minute = pace.until_ns // MINUTE_NS - blocks * self._minutes_a_block
        self._offsets = _offsets(Random(f"{seed}/{api}/offsets"), self._minutes_a_block)  # noqa: S311
        self._cut = self._cut_bodies()
        # Readers of parallel windows each find the block again in which their last page ended.
        self._block = lru_cache(BLOCKS_KEPT)(self._make_block)

    def read(self, place: CursorState, now_ns: int) -> EventSlice:
        own = self._read_own(place)
        if len(own.bodies) == place.limit:
            return own
        added = self._read_added(replace(place, limit=place.limit - len(own.bodies)), now_ns)
        if not (own.bodies and added.bodies):
            return own if own.bodies else added
        return EventSlice(own.bodies + added.bodies, [*own.numbers, *added.numbers], added.position)

    def append(self, raw: bytes, ns: int) -> None:
        self._added.append(raw, ns)

    def arrive(self, count: int, now_ns: int, late_ns: int | None) -> None:
        self._added.arrive(count, now_ns, late_ns)

    def _read_own(self, place: CursorState) -> EventSlice:
        first = max(place.position, self._first_at(place.start_ns))
        last = min(first + place.limit, self._first_at(place.end_ns))
        if first >= last:
            return EventSlice([], [], place.position)
        return EventSlice(self._bodies(place.version, first, last), range(first, last), last)

    def _read_added(self, place: CursorState, now_ns: int) -> EventSlice:
        position = max(0, place.position - self._size)
        moved = replace(place, position=position)
        found = self._added.read(moved, now_ns)
        if not found.bodies:
            return EventSlice([], [], place.position)
        return EventSlice(found.bodies, [self._size + number for number in found.numbers], self._size + found.position)

    def _bodies(self, version: int, first: int, last: int) -> list[bytes]:
        """At most two blocks, because a page holds no more than one block does."""
        block, start = divmod(first, BLOCK)
        bodies = self._block(version, block)[start : start + last - first]
        if start + last - first > BLOCK:
            bodies = bodies + self._block(version, block + 1)[: start + last - first - BLOCK]
        return bodies

    def _make_block(self, version: int, block: int) -> list[bytes]:
        cut = self._cut[version]
        random = Random(f"{self._seed}/{self._api}/block/{block}")  # noqa: S311 - made-up data
        letters = random.randbytes(BLOCK * ID_LENGTH).translate(_TO_BASE32)
        uuids = [letters[at : at + ID_LENGTH] for at in range(0, len(letters), ID_LENGTH)]
        minutes = self._minute_texts(block)
        times = [minutes[offset] for offset in cut.offset_minutes]
        return [b"".join(parts) for parts in zip(cut.heads, uuids, cut.middles, times, cut.tails, strict=True)]

    def _minute_texts(self, block: int) -> dict[int, bytes]:
        """Texts such as `2026-03-04T05:06:`, for the minutes of the block that have events."""
        first = self._first_minute + block * self._minutes_a_block
        used = dict.fromkeys(self._cut[1].offset_minutes)
        days: dict[int, bytes] = {}
        for offset in used:
            day = (first + offset) // MINUTES_A_DAY
            if day not in days:
                days[day] = write_time(day * MINUTES_A_DAY * MINUTE_NS)[:10].encode()
        return {
            offset: days[(first + offset) // MINUTES_A_DAY] + _MINUTES[(first + offset) % MINUTES_A_DAY]
            for offset in used
        }

    def _cut_bodies(self) -> dict[int, CutBodies]:
        """The parts of the first block's bodies, for each version of the API."""
        cut = {version: CutBodies([], [], [], [offset // MINUTE_NS for offset in self._offsets]) for version in (1, 2)}
        for number, offset in enumerate(self._offsets):
            body = make_body(self._seed, self._api, number, random_for(self._seed, self._api, number), _MARKED)
            cut[1].add(body.v1, offset)
            cut[2].add(body.v2, offset)
        return cut

    def _first_at(self, ns: int) -> int:
        """The number of the first event at or after this time."""
        return bisect_left(range(self._size), ns, key=self._time_ns)

    def _time_ns(self, number: int) -> int:
        block, place = divmod(number, BLOCK)
        return (self._first_minute + block * self._minutes_a_block) * MINUTE_NS + self._offsets[place]


_MARKED = EventTime(ns=1_772_600_767_000_000_000, text="@time@")


def _offsets(random: Random, minutes: int) -> list[int]:
    """1000 rising times within a block, in ns, with 0 to 9 fractional digits."""
    drawn = (random.randrange(minutes * MINUTE_NS) for _ in range(BLOCK))
    return sorted(ns - ns % 10 ** random.randrange(10) for ns in drawn)


def _seconds_text(ns: int) -> bytes:
    whole, fraction = divmod(ns, SECOND)
    return f"{whole:02d}{write_fraction(fraction)}Z".encode()
