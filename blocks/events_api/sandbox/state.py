"""Everything that a running sandbox holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from blocks.events_api.sandbox.arrivals import Arrivals, History, Pace
from blocks.events_api.sandbox.bulk import Bulk
from blocks.events_api.sandbox.clock import SandboxClock
from blocks.events_api.sandbox.faults import Faults
from blocks.events_api.sandbox.log import Log
from blocks.events_api.sandbox.queries import read_time
from blocks.events_api.sandbox.rates import Rates
from blocks.events_api.sandbox.tokens import Tokens
from blocks.events_api.sandbox.vocabulary import APIS

if TYPE_CHECKING:
    from blocks.events_api.sandbox.options import SandboxOptions


class State:
    def __init__(self, options: SandboxOptions, host: str) -> None:
        self.options = options
        self.clock = SandboxClock()
        self.tokens = Tokens(options.seed, host, self.clock)
        self.rates = Rates(options.rate_windows)
        self.faults = Faults()
        for fault in options.faults:
            self.faults.add(fault)
        self.log = Log()
        self.stopping = asyncio.Event()
        self.arrivals = _arrivals(options, self.clock.now_ns())


def _arrivals(options: SandboxOptions, now_ns: int) -> dict[str, Arrivals]:
    until_ns = now_ns if options.until is None else read_time(options.until, "until")
    held: dict[str, Arrivals] = {}
    for place, api in enumerate(APIS):
        size = options.events // len(APIS) + (place < options.events % len(APIS))
        pace = Pace(size, until_ns, options.days, options.rate)
        held[api] = (Bulk if options.bulk else History)(options.seed, api, pace)
    return held
