"""Keep the requests of a run within the account's rate limits, together with all runs that use its tokens."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from blocks import clock
from blocks.errors import ThirdPartyGenericError
from blocks.events_api import rate_limit
from blocks.events_api.hosts import is_loopback_url
from blocks.events_api.rate_limit import DOCUMENTED
from blocks.store import rate_limit_windows
from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.errors import SourceError
    from blocks.events_api.rate_limit import Grant, RateWindow
    from blocks.store.sources import SourceRecord

LIVE = 1.0
WAIT_MAX = 60.0
"""Seconds that a request waits for its slot. After that its reader is retried, as after a 429."""
POLL_SECONDS = 1.0  # so that a pause that another run has ordered is noticed soon


class StoppedWaitingError(Exception):
    """A stop was requested while a request waited for its slot."""


class RateGate:
    """Gives rate-limit slots: call it for each request, and make the request within the context that it returns.

    Entering waits for a slot. Leave it as soon as the server begins to answer: a slow request counts from then on.
    Threads may share a gate. Entering raises ThirdPartyGenericError if the slot is further away than WAIT_MAX, and
    StoppedWaitingError if a stop is requested. Both raise FirstPartyGenericError if the store does not answer.
    """

    def __init__(self, engine: Engine, key: str, windows: tuple[RateWindow, ...], share: float) -> None:
        self._engine = engine
        self.key = key
        self._windows = windows
        self._share = share

    @contextmanager
    def __call__(self) -> Iterator[None]:
        granted = self._wait()
        try:
            yield
        finally:
            rate_limit_windows.count_late_response(self._engine, self.key, self._windows, granted.at_ns)

    def _wait(self) -> Grant:
        waited = 0.0
        while not (granted := rate_limit_windows.acquire(self._engine, self.key, self._windows, 1, self._share)).count:
            wait = granted.wait_ns / 1e9
            if waited + wait > WAIT_MAX:
                raise _out_of_budget(wait)
            step = min(wait, POLL_SECONDS)
            waited += step
            if stopping.requested.wait(clock.engine_delay(step)):
                raise StoppedWaitingError
        return granted


def open_gate(engine: Engine, source: SourceRecord, share: float = LIVE) -> RateGate | None:
    """The gate before a source's requests; None if its server has no limits, as a sandbox on this machine.

    `share`: the part of the rate windows (0 to 1) that all runs together may spend before this one waits.
    """
    windows = rate_limit.configured()
    if windows is None:
        windows = () if is_loopback_url(source.base_url) else DOCUMENTED
    return RateGate(engine, rate_limit_windows.key_of(engine, source.id), windows, share) if windows else None


def carry_over_account(engine: Engine, source_id: str, gate: RateGate | None) -> None:
    """Count an introspection through this gate for the account as well, if it showed the account for the first time."""
    if gate is not None and (now := rate_limit_windows.key_of(engine, source_id)) != gate.key:
        rate_limit_windows.carry_over(engine, gate.key, now)


def pause_after_429(engine: Engine, source_id: str, error: SourceError) -> None:
    """After a 429, pause all runs that use the account's tokens until the error's next attempt. Otherwise nothing."""
    if error.code == str(httpx.codes.TOO_MANY_REQUESTS.value) and error.retry_in is not None:
        rate_limit_windows.pause(engine, rate_limit_windows.key_of(engine, source_id), error.retry_in)


def _out_of_budget(wait: float) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The account's rate limits are used up for the next {wait:.0f} s.",
        hint="Reading continues by itself. ONEPASSWORD_SOURCE_BACKFILL_SHARE limits what a running backfill takes.",
        code="rate-limit",
        retry_after=wait,
    )
