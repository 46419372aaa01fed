"""When the schedules tick: how often prefect.yaml says, and each source at a time of its own.

So hundreds of runs do not start at once. The time depends only on the immutable id of the source: a rename or another
machine does not change it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks import clock
from deployments.prefect_api import templates
from deployments.prefect_api.templates import Spec, flow_name, interval

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


def staggered_schedules(template: Spec, key: str) -> list[dict[str, Any]]:
    """The schedules of a template, moved to the time that belongs to `key`, such as a source's id."""
    ticks = TICKS.get(flow_name(template))
    if ticks is None:
        return list(template["schedules"])
    return [{**entry, "anchor_date": ticks.anchor(key)} for entry in template["schedules"]]


COLLECT = Ticks(every=interval(templates.COLLECT), window=interval(templates.COLLECT))
RECONCILE = Ticks(every=interval(templates.RECONCILE), window=4 * 3600, step=60, start=3600)
"""Between 01:00 and 05:00 UTC."""
FORWARD = Ticks(every=interval(templates.FORWARD), window=interval(templates.FORWARD))
"""A safety net: a collection that found something starts the forward run itself."""
TICKS = {templates.COLLECT: COLLECT, templates.RECONCILE: RECONCILE, templates.FORWARD: FORWARD}
