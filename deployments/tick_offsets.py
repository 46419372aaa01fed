"""When the schedule of a deployment ticks: at a time of its own, so that hundreds of runs do not start at once.

The time depends only on the immutable id of the source, so a rename or another machine does not change it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from blocks import clock

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""The origin of every schedule: a whole hour, and the start of a day, in UTC."""


@dataclass(frozen=True)
class Ticks:
    """A tick every `every` seconds. The first one is within `window` seconds after `start` seconds past midnight UTC.

    A tick is at a multiple of `step` seconds after `start`.
    """

    every: int
    window: int
    step: int = 1
    start: int = 0

    def anchor(self, key: str) -> datetime:
        """The first tick of a key, such as the id of a source. A key has the same tick for ever."""
        digest = hashlib.blake2b(f"{self.every} {key}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") % (self.window // self.step)
        return FIRST + timedelta(seconds=self.start + place * self.step)

    def seconds_until(self, key: str) -> float:
        """The seconds until the next tick of a key."""
        now = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)
        return (self.anchor(key) - now).total_seconds() % self.every


COLLECT = Ticks(every=300, window=300)
RECONCILE = Ticks(every=86_400, window=4 * 3600, step=60, start=3600)
"""Once a day, between 01:00 and 05:00 UTC."""
FORWARD = Ticks(every=3600, window=3600)
"""A safety net: a collection that found something starts the forward run itself."""
