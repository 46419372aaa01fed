"""How much of each account's rate limits is used now, read in plain SQL for commands that only read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import text

from blocks import clock
from blocks.events_api import rate_limit
from blocks.events_api.rate_limit import DOCUMENTED, SpentRequests
from blocks.store.engine import reading, store_errors

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ACCOUNT = "account/"
_decoder = msgspec.json.Decoder(SpentRequests)


@dataclass(frozen=True, slots=True)
class RateLimitUsage:
    """One window of one account. `paused_until_ns` is None if requests are not paused after a 429."""

    account: str
    window_seconds: float
    used: int
    allowed: int
    paused_until_ns: int | None


def usages(engine: Engine) -> list[RateLimitUsage]:
    """One for each account and window; none if the limits are off. Raises ThirdPartyConfigError for a wrong setting.

    While the account of a source is not known, its requests are counted as those of `source/ID`.
    """
    configured = rate_limit.configured()
    windows, now_ns = DOCUMENTED if configured is None else configured, clock.now_ns()
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(text("SELECT key, spent, paused_until_ns FROM rate_limits ORDER BY key")).all()
    return [
        RateLimitUsage(
            account=key.removeprefix(_ACCOUNT),
            window_seconds=window.seconds,
            used=used,
            allowed=window.requests,
            paused_until_ns=paused_ns if paused_ns is not None and paused_ns > now_ns else None,
        )
        for key, spent, paused_ns in rows
        for window in windows
        if (used := rate_limit.count_spent(window, _decoder.decode(spent).get(window.key, {}), now_ns))
        or key.startswith(_ACCOUNT)
    ]
