"""The requests spent from an account's rate-limit windows, counted in the store that all its users share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import func, literal, select, update

from blocks import clock
from blocks.events_api import rate_limit
from blocks.events_api.rate_limit import Grant, SpentRequests
from blocks.store.engine import reading, store_errors, writing
from blocks.store.on_conflict import insert_new
from blocks.store.tables import RateLimitRow, SourceRow, table_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from blocks.events_api.rate_limit import RateWindow

LONGEST_PAUSE_NS = 3600 * 10**9
"""The longest Retry-After. A longer pause was set before the clock was set back, so its end is unknown: it is ignored.
"""

_rate_limits = table_of(RateLimitRow)
_sources = table_of(SourceRow)
_decoder = msgspec.json.Decoder(SpentRequests)


def key_of(engine: Engine, source_id: str) -> str:
    """The key that a source's requests are counted under: its account, or the source itself while that is unknown."""
    query = select(_sources.c.account_uuid).where(_sources.c.id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        account = connection.scalar(query)
    return f"account/{account}" if account else f"source/{source_id}"


def acquire(engine: Engine, key: str, windows: tuple[RateWindow, ...], count: int, share: float = 1.0) -> Grant:
    """Grant up to `count` requests, which count from now on; see `rate_limit.grant`. Grants none during a pause."""
    with writing(engine) as connection:
        spent, paused_until_ns = _locked(connection, key)
        now_ns = clock.now_ns()
        if now_ns < paused_until_ns <= now_ns + LONGEST_PAUSE_NS:
            return Grant(0, paused_until_ns - now_ns, now_ns)
        granted, spent = rate_limit.grant(spent, windows, now_ns, count, share)
        if granted.count:
            _save(connection, key, spent)
    return granted


def count_late_response(engine: Engine, key: str, windows: tuple[RateWindow, ...], granted_ns: int) -> None:
    """Count a request granted at `granted_ns` from now on if its response took long.

    The server may have counted it at any time in between.
    """
    if not rate_limit.is_late(windows, granted_ns, clock.now_ns()):
        return
    with writing(engine) as connection:
        spent, _ = _locked(connection, key)
        _save(connection, key, rate_limit.count_from_response(spent, windows, granted_ns, clock.now_ns()))


def carry_over(engine: Engine, old_key: str, new_key: str) -> None:
    """Move what was spent under the key `old_key` to `new_key`, once the account of a source is known.

    The server has counted those requests for the account from the start.
    """
    with writing(engine) as connection:
        old, _ = _locked(connection, old_key)
        spent, _ = _locked(connection, new_key)
        for window, cells in old.items():
            target = spent.setdefault(window, {})
            for cell, count in cells.items():
                target[cell] = target.get(cell, 0) + count
        _save(connection, new_key, spent)
        _save(connection, old_key, {})


def pause(engine: Engine, key: str, seconds: float) -> None:
    """Grant no requests for so many seconds, as after a 429; a longer pause stays as it is."""
    now_ns = clock.now_ns()
    until_ns = now_ns + int(seconds * 10**9)
    with writing(engine) as connection:
        _, paused_until_ns = _locked(connection, key)
        if not until_ns <= paused_until_ns <= now_ns + LONGEST_PAUSE_NS:
            connection.execute(update(_rate_limits).where(_rate_limits.c.key == key).values(paused_until_ns=until_ns))


def _save(connection: Connection, key: str, spent: SpentRequests) -> None:
    encoded = msgspec.json.encode(spent).decode()
    connection.execute(update(_rate_limits).where(_rate_limits.c.key == key).values(spent=encoded))


def _locked(connection: Connection, key: str) -> tuple[SpentRequests, int]:
    """What is spent, and the end of the pause (ns). It writes the row first, so that concurrent callers wait."""
    touched = update(_rate_limits).where(_rate_limits.c.key == key).values(grants=_rate_limits.c.grants + 1)
    query = touched.returning(_rate_limits.c.spent, func.coalesce(_rate_limits.c.paused_until_ns, literal(0)))
    row = connection.execute(query).first()
    if row is None:
        insert_new(connection, _rate_limits, {"key": key, "spent": "{}", "grants": 0})
        row = connection.execute(query).one()
    return _decoder.decode(row[0]), int(row[1])
