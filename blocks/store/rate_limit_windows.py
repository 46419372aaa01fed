"""What all who use one account's tokens have spent of its rate windows, counted in the store that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import func, literal, select, update

from blocks import clock
from blocks.events_api import rate_limit
from blocks.events_api.rate_limit import Grant, SpentRequests
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import RateLimitRow, SourceRow, table_of
from blocks.store.upsert import insert_new

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from blocks.events_api.rate_limit import RateWindow

LONGEST_PAUSE_NS = 3600 * 10**9
"""The longest Retry-After. What lasts longer was ordered before the clock was set back, and nobody knows when it ends.
"""

_budgets = table_of(RateLimitRow)
_sources = table_of(SourceRow)
_decoder = msgspec.json.Decoder(SpentRequests)


def key_of(engine: Engine, source_id: str) -> str:
    """Under which the requests for a source are counted: its account, or the source alone while that is unknown."""
    asked = select(_sources.c.account_uuid).where(_sources.c.id == source_id)
    with store_errors(), reading(engine).connect() as connection:
        account = connection.scalar(asked)
    return f"account/{account}" if account else f"source/{source_id}"


def acquire(engine: Engine, key: str, windows: tuple[RateWindow, ...], wanted: int, share: float = 1.0) -> Grant:
    """Up to `wanted` requests, which count from now on; see `budget.grant`. Nothing while a pause lasts."""
    with writing(engine) as connection:
        spent, paused_until_ns = _locked(connection, key)
        now_ns = clock.now_ns()
        if now_ns < paused_until_ns <= now_ns + LONGEST_PAUSE_NS:
            return Grant(0, paused_until_ns - now_ns, now_ns)
        granted, spent = rate_limit.grant(spent, windows, now_ns, wanted, share)
        if granted.count:
            _keep(connection, key, spent)
    return granted


def count_late_response(engine: Engine, key: str, windows: tuple[RateWindow, ...], granted_ns: int) -> None:
    """Now a request that was granted then has its answer, or none: one that took long counts from now on.

    It may have been counted by the server at any time between.
    """
    if not rate_limit.is_late(windows, granted_ns, clock.now_ns()):
        return
    with writing(engine) as connection:
        spent, _ = _locked(connection, key)
        _keep(connection, key, rate_limit.count_from_response(spent, windows, granted_ns, clock.now_ns()))


def carry_over(engine: Engine, before: str, after: str) -> None:
    """Count what was spent under the key `before` under `after` too: the account of a source has become known.

    The server has counted those requests for the account from the first on.
    """
    with writing(engine) as connection:
        old, _ = _locked(connection, before)
        spent, _ = _locked(connection, after)
        for window, cells in old.items():
            there = spent.setdefault(window, {})
            for cell, count in cells.items():
                there[cell] = there.get(cell, 0) + count
        _keep(connection, after, spent)
        _keep(connection, before, {})


def pause(engine: Engine, key: str, seconds: float) -> None:
    """Nobody gets anything for so long, as after a 429; a longer pause stays as it is."""
    now_ns = clock.now_ns()
    until_ns = now_ns + int(seconds * 10**9)
    with writing(engine) as connection:
        _, paused_until_ns = _locked(connection, key)
        if not until_ns <= paused_until_ns <= now_ns + LONGEST_PAUSE_NS:
            connection.execute(update(_budgets).where(_budgets.c.key == key).values(paused_until_ns=until_ns))


def _keep(connection: Connection, key: str, spent: SpentRequests) -> None:
    kept = msgspec.json.encode(spent).decode()
    connection.execute(update(_budgets).where(_budgets.c.key == key).values(spent=kept))


def _locked(connection: Connection, key: str) -> tuple[SpentRequests, int]:
    """What is spent, and until when there is a pause. The row is written first, so that askers wait in line."""
    touched = update(_budgets).where(_budgets.c.key == key).values(grants=_budgets.c.grants + 1)
    asked = touched.returning(_budgets.c.spent, func.coalesce(_budgets.c.paused_until_ns, literal(0)))
    row = connection.execute(asked).first()
    if row is None:
        insert_new(connection, _budgets, {"key": key, "spent": "{}", "grants": 0})
        row = connection.execute(asked).one()
    return _decoder.decode(row[0]), int(row[1])
