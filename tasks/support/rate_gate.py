"""Keeps the requests of a run within the account's rate windows, with all others that use its tokens."""

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
"""Seconds that a request waits for its turn; then its reader makes way and comes back as after a 429."""
POLL_SECONDS = 1.0  # seconds between two looks, so that a pause that another run ordered is noticed soon


class StoppedWaitingError(Exception):
    """The run was asked to end while a request waited for its turn."""


class RateGate:
    """Call it for each request, and make that within what it gives: entered once it is allowed. Threads may share it.

    Leave it as soon as the server has begun to answer: a request that took long counts from then on. Entering raises
    ThirdPartyGenericError where its turn is further away than PATIENCE, StoppedWaitingError where the run is asked to
    end; both entering and leaving raise FirstPartyGenericError where the store does not answer.
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
    """The gate before a source's requests; None where its server has no limits, as a sandbox on this machine.

    `share`: the part of the rate windows that may be spent by all together before this one waits.
    """
    windows = rate_limit.configured()
    if windows is None:
        windows = () if is_loopback_url(source.base_url) else DOCUMENTED
    return RateGate(engine, rate_limit_windows.key_of(engine, source.id), windows, share) if windows else None


def carry_over_account(engine: Engine, source_id: str, gate: RateGate | None) -> None:
    """After an introspection by this gate: where the account was not known before it, its windows have that too."""
    if gate is not None and (now := rate_limit_windows.key_of(engine, source_id)) != gate.key:
        rate_limit_windows.carry_over(engine, gate.key, now)


def pause_after_429(engine: Engine, source_id: str, error: SourceError) -> None:
    """After a 429 nobody who uses the account's tokens asks until the error's next attempt. Otherwise nothing."""
    if error.code == str(httpx.codes.TOO_MANY_REQUESTS.value) and error.retry_in is not None:
        rate_limit_windows.pause(engine, rate_limit_windows.key_of(engine, source_id), error.retry_in)


def _out_of_budget(wait: float) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The account's rate limits are used up for the next {wait:.0f} s.",
        hint="Reading goes on by itself; a backfill that runs takes less with ONEPASSWORD_SOURCE_BACKFILL_SHARE.",
        code="rate-limit",
        retry_after=wait,
    )
