"""How many events a minute each pair sends: measured between two reads of the store, which only counts them."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import NamedTuple

from blocks import clock

SPAN_NS = 600 * 10**9
"""Readings are kept for ten minutes."""
SHORTEST_NS = 5 * 10**9
"""Two readings closer to each other give no rate."""
PAIRS_MAX = 5000
MINUTE_NS = 60 * 10**9


class SendRate(NamedTuple):
    """Events a minute, measured over the last `over_ns`."""

    per_minute: float
    over_ns: int


class SendRates:
    """Remembers what each pair had sent when a page last showed it."""

    def __init__(self) -> None:
        self._readings: OrderedDict[str, deque[tuple[int, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def measure(self, pair_id: str, sent: int) -> SendRate | None:
        """Add a reading of the counter `sent`. None until there is an older one to compare it with."""
        now_ns = clock.now_ns()
        with self._lock:
            readings = self._readings.setdefault(pair_id, deque())
            self._readings.move_to_end(pair_id)
            while len(self._readings) > PAIRS_MAX:
                self._readings.popitem(last=False)
            if readings and (sent < readings[-1][1] or now_ns < readings[-1][0]):  # counted from 0 again
                readings.clear()
            while readings and readings[0][0] < now_ns - SPAN_NS:
                readings.popleft()
            if not readings or now_ns - readings[-1][0] >= SHORTEST_NS:
                readings.append((now_ns, sent))
            first_ns, before = readings[0]
        over_ns = now_ns - first_ns
        return SendRate((sent - before) / over_ns * MINUTE_NS, over_ns) if over_ns >= SHORTEST_NS else None
