"""Everything that a running sandbox holds."""

from __future__ import annotations

import asyncio

from deployments.sandbox.clock import SandboxClock
from deployments.sandbox.computed_history import Bulk
from deployments.sandbox.event_history import Arrivals, History, Pace
from deployments.sandbox.faults import BadFaultError, Faults
from deployments.sandbox.options import SandboxOptionError, SandboxOptions
from deployments.sandbox.queries import BadRequestError, read_time
from deployments.sandbox.rate_limiter import Rates
from deployments.sandbox.request_log import Log
from deployments.sandbox.tokens import Tokens
from deployments.sandbox.vocabulary import APIS


class State:
    def __init__(self, options: SandboxOptions, host: str) -> None:
        self.options = options
        self.clock = SandboxClock()
        self.tokens = Tokens(options.seed, host, self.clock)
        self.rates = Rates(options.rate_windows)
        self.faults = Faults()
        _add_faults(self.faults, options)
        self.log = Log()
        self.stopping = asyncio.Event()
        self.arrivals = _arrivals(options, self.clock.now_ns())


def _add_faults(faults: Faults, options: SandboxOptions) -> None:
    try:
        for fault in options.faults:
            faults.add(fault)
    except BadFaultError as error:
        raise SandboxOptionError(str(error)) from None


def _until_ns(text: str) -> int:
    try:
        return read_time(text, "until")
    except BadRequestError as error:
        raise SandboxOptionError(str(error)) from None


def _arrivals(options: SandboxOptions, now_ns: int) -> dict[str, Arrivals]:
    until_ns = now_ns if options.until is None else _until_ns(options.until)
    held: dict[str, Arrivals] = {}
    for place, api in enumerate(APIS):
        size = options.events // len(APIS) + (place < options.events % len(APIS))
        pace = Pace(size, until_ns, options.days, options.rate)
        held[api] = (Bulk if options.bulk else History)(options.seed, api, pace)
    return held
