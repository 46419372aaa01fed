"""A run that is killed again and again, shortly after each commit, and started again at once: each start goes on.

The clock is never moved on meanwhile, so no claim of a dead run expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.one_machine import wait_until
from torture.outcome import Row, allowed_requests, opened, states_of
from torture.postgresql import own_database
from torture.strike import feeding, until
from torture.test_kills_backfill import allowed_of_windows, every_window_is_done
from whenever import Instant

from blocks.events_api.models import Api
from blocks.store import schema
from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torture.postgresql import Postgres
    from torture.processes import Fork, Runs

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

KILLS = 25
DAYS = 7
COLLECTED = "SELECT count(*) FROM chain"
BACKFILLED = "SELECT coalesce(sum(pages), 0) FROM windows"


@dataclass
class Struck:
    """A source whose runs are killed."""

    name: str
    url: str
    runs: Runs
    sandbox: SandboxProcess
    row: Row
    started: int = 0

    def strike(self, start: Callable[[], Fork], pages: str) -> None:
        """Kill runs until enough have died, each shortly after it has committed more than the ones before."""
        chance = self.row.chance()
        while self.row.times < KILLS:
            before = self.count(pages)
            run = start()
            self.started += 1
            wait_until(lambda run=run, before=before: self.count(pages) > before or run.ended(), 120)  # type: ignore[misc]
            until(chance.uniform(0.0, 0.1))
            self.row.times += run.kill()
            assert self.count(pages) > before, "this start has made no progress"

    def count(self, query: str) -> int:
        with opened(self.url) as engine, engine.connect() as connection:
            return int(connection.execute(text(query)).scalar_one())


@pytest.fixture(params=["sqlite", "postgresql"])
def struck(
    request: pytest.FixtureRequest, runs: Runs, postgres: Postgres, row: Row, tmp_path: Path
) -> Iterator[Struck]:
    name, url = own_database(request, postgres, row, tmp_path)
    with opened(url) as engine:
        schema.upgrade(engine)
    with running_sandbox(bulk=True, events=60_000, days=DAYS) as sandbox:
        sandbox.fault("delay", seconds=0.02)
        runs.save(name, url, sandbox)
        yield Struck(name, url, runs, sandbox, row)


def test_a_run_that_is_killed_after_each_commit(struck: Struck) -> None:
    with feeding(struck.sandbox):
        struck.strike(lambda: struck.runs.start(struck.name), COLLECTED)
    state, message = struck.runs.collect(struck.name)
    assert state == "Collected", message
    struck.row.compare(struck.url, struck.sandbox, struck.name)
    allowed = allowed_requests(struck.url, struck.name, runs=struck.started + 1, interrupted=struck.row.times)
    struck.row.count_requests(struck.sandbox, allowed)
    assert states_of(struck.url, struck.name) == ["ok"] * len(Api)


def test_a_backfill_that_is_killed_after_each_commit(struck: Struck) -> None:
    now = Instant.now()
    span = {"start": now.subtract(hours=24 * (DAYS + 1)).format_iso(), "end": now.format_iso()}

    def start() -> Fork:
        return struck.runs.forks.call(name=struck.name, **span)

    struck.strike(start, BACKFILLED)
    state, message = start().wait(300)
    assert state == "Backfilled", message
    assert every_window_is_done(struck.url)
    assert struck.runs.collect(struck.name)[0] == "Collected"
    struck.row.compare(struck.url, struck.sandbox, struck.name)
    live = allowed_requests(struck.url, struck.name, runs=1, interrupted=0)
    struck.row.count_requests(struck.sandbox, live + allowed_of_windows(struck.url, struck.row.times))
