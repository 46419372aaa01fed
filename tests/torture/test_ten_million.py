"""A store of ten million events: `status`, `coverage` and `events` stay fast. Notes below the table say how fast.

Runs on request alone, since it takes long.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from torture.outcome import PAGE, Row, opened, request_count
from torture.processes import Runs

from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EVENTS = int(os.environ.get("TORTURE_MILLIONS") or 0) * 10**6

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.torture,
    pytest.mark.skipif(not EVENTS, reason="takes about ten minutes and 12 GB of disk: set TORTURE_MILLIONS=10"),
]
MORE = 30_000
NAME, SMALL = "millions", "thousands"
COMMANDS = (
    ("status",),
    ("coverage",),
    ("events", "--since", "1h"),
    ("events", "--api", "audit", "--since", "1h"),
    ("health",),
)


def test_a_store_of_millions_of_events(runs: Runs, row: Row, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    row.fault, row.times = f"a store of {EVENTS:,} events", 1
    small = _collected(runs, SMALL, f"sqlite:///{tmp_path / 'small.db'}", EVENTS // 1000)
    with running_sandbox(bulk=True, events=EVENTS) as sandbox:
        runs.save(NAME, url, sandbox)
        row.notes.append(f"collecting them {_seconds(lambda: runs.start(NAME).wait(3600)):.1f} s")
        for api in Api:
            sandbox.arrive(api.path, MORE // len(Api))
        row.notes.append(f"collecting {MORE:,} more {_seconds(lambda: runs.collect(NAME)):.1f} s")
        for command in COMMANDS:
            large, little = _best(runs, command, NAME, url), _best(runs, command, SMALL, small)
            row.notes.append(f"{' '.join(command)} {large:.2f} s, with a thousandth of the events {little:.2f} s")
        with opened(url) as engine, engine.connect() as connection:
            row.events = connection.execute(text("SELECT count(*) FROM events")).scalar_one()
            distinct = "SELECT count(*) FROM (SELECT DISTINCT stream_id, uuid FROM events) AS d"
            row.twice = row.events - connection.execute(text(distinct)).scalar_one()
        row.lost = EVENTS + MORE - row.events
        assert (row.lost, row.twice) == (0, 0)
        row.requests, row.allowed = request_count(sandbox), row.events // PAGE + 2 * len(Api)
        assert row.requests <= row.allowed


def _collected(runs: Runs, name: str, url: str, events: int) -> str:
    with running_sandbox(bulk=True, events=events) as sandbox:
        runs.save(name, url, sandbox)
        runs.collect(name)
    return url


def _best(runs: Runs, command: tuple[str, ...], name: str, url: str) -> float:
    """Seconds of the quickest of three calls of the real command line."""
    verb, *options = command
    call = partial(runs.up.call, verb, name, *options, ONEPASSWORD_SOURCE_DATABASE_URL=url)
    return min(_seconds(call) for _ in range(3))


def _seconds(act: Callable[[], object]) -> float:
    before = time.monotonic()
    act()
    return time.monotonic() - before
