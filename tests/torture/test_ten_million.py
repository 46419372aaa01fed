"""A store of ten million events: `status` and `events` stay fast, and so does collecting.

Only where it is asked for, since it takes long.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from torture.outcome import PAGE, Row, asked, opened
from torture.processes import Runs

from blocks.events_api.models import Api
from blocks.events_api.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = int(os.environ.get("TORTURE_MILLIONS") or 0) * 10**6

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.torture,
    pytest.mark.skipif(not EVENTS, reason="takes about ten minutes and 12 GB of disk: set TORTURE_MILLIONS=10"),
]
MORE = 30_000


def test_a_store_of_millions_of_events(runs: Runs, row: Row, tmp_path: Path) -> None:
    name, url = "millions", f"sqlite:///{tmp_path / 'events.db'}"
    row.fault, row.times = f"a store of {EVENTS:,} events", 1
    with running_sandbox(bulk=True, events=EVENTS) as sandbox:
        runs.save(name, url, sandbox)
        took = {"collect them": _seconds(lambda: runs.start(name).wait(3600))}
        for api in Api:
            sandbox.arrive(api.path, MORE // len(Api))
        took[f"collect {MORE:,} more"] = _seconds(lambda: runs.collect(name))

        def command(*arguments: str) -> float:
            return _seconds(lambda: runs.up.call(*arguments, ONEPASSWORD_SOURCE_DATABASE_URL=url))

        took["status"] = command("status", name)
        took["events --since 1h"] = command("events", name, "--since", "1h")
        took["events --api audit --since 1h"] = command("events", name, "--api", "audit", "--since", "1h")
        print("\n".join(f"{what}: {seconds:.1f} s" for what, seconds in took.items()))  # noqa: T201
        with opened(url) as engine, engine.connect() as connection:
            row.events = connection.execute(text("SELECT count(*) FROM events")).scalar_one()
            distinct = "SELECT count(*) FROM (SELECT DISTINCT stream_id, uuid FROM events) AS d"
            row.twice = row.events - connection.execute(text(distinct)).scalar_one()
        row.lost = EVENTS + MORE - row.events
        assert (row.lost, row.twice) == (0, 0)
        row.requests, row.allowed = asked(sandbox), row.events // PAGE + 2 * len(Api)
        assert row.requests <= row.allowed
    assert took["status"] < 3
    assert took["events --since 1h"] < 10


def _seconds(act: object) -> float:
    assert callable(act)
    before = time.monotonic()
    act()
    return time.monotonic() - before
