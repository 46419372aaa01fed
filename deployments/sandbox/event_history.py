"""The events of each API, in the order in which they arrived. A late event comes after younger ones.

Two classes implement `Arrivals`: `EventHistory` holds a moderate number of events in memory and grows with time.
`ComputedHistory` computes any number on the fly for benchmarks, followed by an EventHistory of what is added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from deployments.sandbox.sample_events import HOUR, SECOND, EventBody, event_time, make_body, random_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from deployments.sandbox.cursors import CursorState

DAY = 24 * HOUR
MINUTE = 60 * SECOND


@dataclass(frozen=True)
class EventSlice:
    """Bodies for one page, each with its number in order of arrival, and the position to continue from."""

    bodies: list[bytes]
    numbers: Sequence[int]
    position: int


class Arrivals(Protocol):
    def read(self, place: CursorState, now_ns: int) -> EventSlice:
        """Up to `place.limit` events of the window of `place`, from its position on."""

    def append(self, raw: bytes, ns: int) -> None:
        """Add one event, byte for byte, to v1 and v2."""

    def arrive(self, count: int, now_ns: int, late_ns: int | None) -> None:
        """Let `count` sample events arrive at once, `late_ns` after they happened (None: the usual delay)."""


@dataclass(frozen=True)
class ArrivalPace:
    """The times of a history: `events` up to `until_ns`, spread over `days`; after that `rate` events a minute."""

    events: int
    until_ns: int
    days: float
    rate: float

    def arrival_ns(self, number: int) -> int:
        if number < self.events:
            return self.until_ns - int(self.days * DAY * (self.events - number) / self.events)
        return self.until_ns + int((number - self.events + 1) * MINUTE / self.rate)

    def arrived(self, now_ns: int) -> int:
        """How many events have arrived by then."""
        grown = (now_ns - self.until_ns) * self.rate / MINUTE
        return self.events + max(0, int(grown))


class EventHistory:
    def __init__(self, seed: int, api: str, pace: ArrivalPace, first_number: int = 0) -> None:
        self._seed = seed
        self._api = api
        self._pace = pace
        self._first_number = first_number
        self._paced = 0
        self._extra = 0
        self._times: list[int] = []
        self._bodies: list[EventBody] = []
        self._grow(pace.until_ns)

    def read(self, place: CursorState, now_ns: int) -> EventSlice:
        self._grow(now_ns)
        numbers: list[int] = []
        for number in range(place.position, len(self._times)):
            if place.start_ns <= self._times[number] < place.end_ns:
                numbers.append(number)
                if len(numbers) == place.limit:
                    break
        position = numbers[-1] + 1 if numbers else place.position
        bodies = [self._bodies[number].v1 if place.version == 1 else self._bodies[number].v2 for number in numbers]
        return EventSlice(bodies, numbers, position)

    def append(self, raw: bytes, ns: int) -> None:
        self._grow(ns)
        self._add(ns, EventBody(raw, raw))

    def arrive(self, count: int, now_ns: int, late_ns: int | None) -> None:
        self._grow(now_ns)
        for _ in range(count):
            self._extra += 1
            # Separate numbers, far from those that growth will use.
            self._make(2**40 + self._extra, now_ns, late_ns)

    def _grow(self, now_ns: int) -> None:
        for number in range(self._paced, self._pace.arrived(now_ns)):
            self._make(self._first_number + number, self._pace.arrival_ns(number), None)
            self._paced += 1

    def _make(self, number: int, arrival_ns: int, late_ns: int | None) -> None:
        random = random_for(self._seed, self._api, number)
        usual_ns = _lag_ns(random, self._api)
        when = event_time(arrival_ns - (usual_ns if late_ns is None else late_ns), random.randrange(10))
        self._add(when.ns, make_body(self._seed, self._api, number, random, when))

    def _add(self, ns: int, body: EventBody) -> None:
        self._times.append(ns)
        self._bodies.append(body)


def _lag_ns(random: Random, api: str) -> int:
    """Item usages wait for the next sync of their client: most arrive at once, some up to a day later."""
    if api != "itemusages":
        return random.randrange(5 * SECOND)
    longest = random.choices((MINUTE, HOUR, DAY), weights=(75, 20, 5))[0]
    return random.randrange(longest)


def read_all(arrivals: Arrivals, place: CursorState, now_ns: int) -> Iterator[EventSlice]:
    """Page after page to the end."""
    while (found := arrivals.read(place, now_ns)).bodies:
        yield found
        place = replace(place, position=found.position)
