"""Everything that a running sandbox holds."""

from __future__ import annotations

import asyncio

from deployments.sandbox.clock import SandboxClock
from deployments.sandbox.computed_history import ComputedHistory
from deployments.sandbox.event_history import ArrivalPace, Arrivals, EventHistory
from deployments.sandbox.faults import BadFaultError, FaultInjector
from deployments.sandbox.options import SandboxOptionError, SandboxOptions
from deployments.sandbox.queries import BadRequestError, read_time
from deployments.sandbox.rate_limiter import RateLimiter
from deployments.sandbox.request_log import RequestLog
from deployments.sandbox.tokens import TokenIssuer
from deployments.sandbox.vocabulary import APIS


class SandboxState:
    def __init__(self, options: SandboxOptions, host: str) -> None:
        self.options = options
        self.clock = SandboxClock()
        self.tokens = TokenIssuer(options.seed, host, self.clock)
        self.rates = RateLimiter(options.rate_windows)
        self.faults = FaultInjector()
        _add_faults(self.faults, options)
        self.log = RequestLog()
        self.stopping = asyncio.Event()
        self.arrivals = _arrivals(options, self.clock.now_ns())


def _add_faults(faults: FaultInjector, options: SandboxOptions) -> None:
    try:
        for fault in options.faults:
            faults.inject(fault)
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
        pace = ArrivalPace(size, until_ns, options.days, options.rate)
        held[api] = (ComputedHistory if options.bulk else EventHistory)(options.seed, api, pace)
    return held
