"""Rate limiters: ours, Prefect's, and those of libraries that are installed, all behind the same function.

Each function waits for a grant until a time (`time.monotonic`), and returns whether it got one. A library is used as
its documentation says for several processes; without such a section, as for one.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks.events_api.rate_limit import RateWindow
from deployments.prefect_api import server_access

if TYPE_CHECKING:
    from collections.abc import Callable

    Acquire = Callable[[float], bool]

KEY = "benchmark"


@dataclass(frozen=True)
class Kind:
    """A way: how it is called, where it keeps its count, whose module it needs, and what it can.

    `two`: two windows at once; `share`: some get only what others leave; `pause`: after a 429 all wait.
    """

    name: str
    kept_in: str
    module: str
    make: Callable[[str, tuple[RateWindow, ...]], Acquire]
    fill: Callable[[str, tuple[RateWindow, ...], int], None]
    two: bool = True
    share: bool = False
    pause: bool = False

    @property
    def is_there(self) -> bool:
        return all(importlib.util.find_spec(one) for one in self.module.split())


def _ours(url: str, windows: tuple[RateWindow, ...]) -> Acquire:
    from blocks.errors import ThirdPartyGenericError
    from blocks.store.engine import open_engine
    from tasks.support import rate_gate

    gate = rate_gate.RateGate(open_engine(url), KEY, windows, 1.0)

    def acquire(until: float) -> bool:
        rate_gate.WAIT_MAX = max(until - time.monotonic(), 0.0)
        try:
            with gate():
                pass
        except ThirdPartyGenericError:  # its turn is later than that
            time.sleep(max(until - time.monotonic(), 0.0))
            return False
        return time.monotonic() < until

    return acquire


def _fill_ours(url: str, windows: tuple[RateWindow, ...], count: int) -> None:
    from blocks.store import rate_limit_windows, schema
    from blocks.store.engine import open_engine

    engine = open_engine(url)
    schema.upgrade(engine)
    if count:
        rate_limit_windows.acquire(engine, KEY, windows, count)


def _pyrate(url: str, windows: tuple[RateWindow, ...]) -> Any:
    import pyrate_limiter  # type: ignore[import-not-found]

    from blocks.store.engine import sqlite_path

    allowed = [pyrate_limiter.Rate(one.requests, round(one.seconds * 1000)) for one in windows]
    path = sqlite_path(url)
    if path:
        bucket = pyrate_limiter.SQLiteBucket.init_from_file(allowed, db_path=f"{path}.pyrate", use_file_lock=True)
    else:
        from psycopg_pool import ConnectionPool  # type: ignore[import-not-found]

        bucket = pyrate_limiter.PostgresBucket(ConnectionPool(url, min_size=1, max_size=1, open=True), KEY, allowed)
    return pyrate_limiter.Limiter(bucket)


def _acquire_pyrate(url: str, windows: tuple[RateWindow, ...]) -> Acquire:
    limiter = _pyrate(url, windows)
    return lambda until: bool(limiter.try_acquire(KEY, timeout=max(until - time.monotonic(), 0.0)))


def _fill_pyrate(url: str, windows: tuple[RateWindow, ...], count: int) -> None:
    limiter = _pyrate(url, windows)
    if count:
        limiter.try_acquire(KEY, weight=count, timeout=5)
    for bucket in limiter.buckets():
        bucket.close()


def _limits(_url: str, windows: tuple[RateWindow, ...]) -> Acquire:
    from limits import RateLimitItemPerSecond  # type: ignore[import-not-found]
    from limits.storage import MemoryStorage  # type: ignore[import-not-found]
    from limits.strategies import MovingWindowRateLimiter  # type: ignore[import-not-found]

    limiter = MovingWindowRateLimiter(MemoryStorage())
    items = [RateLimitItemPerSecond(one.requests, math.ceil(one.seconds)) for one in windows]

    def acquire(until: float) -> bool:
        while not all(limiter.test(item) for item in items):
            due = max(limiter.get_window_stats(item).reset_time for item in items if not limiter.test(item))
            wait = max(due - time.time(), 0.001)
            time.sleep(min(wait, max(until - time.monotonic(), 0.0)))
            if time.monotonic() >= until:
                return False
        for item in items:
            limiter.hit(item)
        return True

    return acquire


def _aiolimiter(_url: str, windows: tuple[RateWindow, ...]) -> Acquire:
    from aiolimiter import AsyncLimiter  # type: ignore[import-not-found]

    limiters = [AsyncLimiter(one.requests, one.seconds) for one in windows]
    loop = asyncio.new_event_loop()

    async def all_of_them() -> None:
        for limiter in limiters:
            await limiter.acquire()

    def acquire(until: float) -> bool:
        try:
            loop.run_until_complete(asyncio.wait_for(all_of_them(), max(until - time.monotonic(), 0.0)))
        except TimeoutError:
            return False
        return True

    return acquire


def _prefect(_url: str, windows: tuple[RateWindow, ...]) -> Acquire:
    from prefect.concurrency.sync import rate_limit

    def acquire(until: float) -> bool:
        try:
            rate_limit(_names(windows), timeout_seconds=max(until - time.monotonic(), 0.0), strict=True)
        except TimeoutError:
            return False
        return True

    return acquire


def _prefect_limits(part: float) -> Callable[[str, tuple[RateWindow, ...], int], None]:
    def fill(_url: str, windows: tuple[RateWindow, ...], _count: int) -> None:
        from prefect import get_client
        from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
        from prefect.exceptions import ObjectNotFound

        with get_client(sync_client=True) as client:
            for name, one in zip(_names(windows), windows, strict=True):
                with suppress(ObjectNotFound):
                    client.delete_global_concurrency_limit_by_name(name)
                decay = one.requests * part / one.seconds
                limit = max(round(one.requests * part), 1)
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
                )

    return fill


def _names(windows: tuple[RateWindow, ...]) -> list[str]:
    return [f"{KEY}-{one.key}" for one in windows]


def _nothing(_url: str, _windows: tuple[RateWindow, ...], _count: int) -> None:
    pass


OURS = ("SQLite", "PostgreSQL")
KINDS = (
    *(Kind("ours", where, "blocks", _ours, _fill_ours, share=True, pause=True) for where in OURS),
    Kind("Prefect rate_limit", "its server", "prefect", _prefect, _prefect_limits(1.0)),
    Kind("the same, halved", "its server", "prefect", _prefect, _prefect_limits(0.5)),
    Kind("pyrate-limiter", "SQLite", "pyrate_limiter filelock", _acquire_pyrate, _fill_pyrate),
    Kind("pyrate-limiter", "PostgreSQL", "pyrate_limiter psycopg_pool", _acquire_pyrate, _fill_pyrate),
    Kind("limits", "the process", "limits", _limits, _nothing),
    Kind("aiolimiter", "the process", "aiolimiter", _aiolimiter, _nothing),
)


def main() -> None:
    """Ask as standard input says: a job in one line, then, when this is ready, the moment to begin."""
    job = json.loads(sys.stdin.readline())
    if job["beside"]:
        sys.path.append(job["beside"])  # behind the project's own
    server_access.activate()
    kind, windows = KINDS[job["kind"]], tuple(RateWindow(**one) for one in job["windows"])
    if "known" in job:
        kind.fill(job["url"], windows, job["known"])
        return
    acquire = kind.make(job["url"], windows)
    print("ready", flush=True)  # noqa: T201
    begin = float(sys.stdin.readline())
    time.sleep(max(begin - time.time(), 0.0))
    until = time.monotonic() + job["seconds"]
    moments, took = [], []
    while (started := time.monotonic()) < until:
        if acquire(until):
            moments.append(time.time())
            took.append(time.monotonic() - started)
    print(json.dumps({"moments": moments, "took": took}), flush=True)  # noqa: T201
    os._exit(0)  # threads of libraries would be waited for


if __name__ == "__main__":
    main()
