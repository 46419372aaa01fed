"""A store that is full, read-only, locked, or gone for an hour in the middle of a run, and is right again after it."""

from __future__ import annotations

import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest
from support.one_machine import wait_until
from torture.outcome import Row, allowed_requests, health_of, is_well, request_count, state_of
from torture.postgresql import Postgres
from torture.processes import Fork, Runs
from torture.strike import limit_files, locked, mounted, read_only

from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

EVENTS = 60_000


@dataclass
class Torture:
    """One source whose store fails while the source is collected."""

    name: str
    url: str
    runs: Runs
    sandbox: SandboxProcess
    row: Row
    attempts: int = 0

    def start(self) -> Fork:
        self.runs.save(self.name, self.url, self.sandbox)
        return self.runs.start(self.name)

    def start_and_read(self) -> Fork:
        run = self.start()
        wait_until(lambda: request_count(self.sandbox) > 6 or run.ended())
        assert not run.ended()
        return run

    def wait_until_it_waits(self, times: int = 1, readers: int = 3) -> None:
        """Until its readers wait for their next attempts, so many times over; each time the clock is moved on."""
        clock = self.runs.up.clock
        for _ in range(times):
            wait_until(lambda: len(clock.wakes_ns()) == readers)
            before = clock.wakes_ns()
            clock.advance((before[-1] - clock.now_ns()) / 1e9)
            wait_until(lambda before=before: not set(before) & set(clock.wakes_ns()))
            self.attempts += 1
        wait_until(lambda: len(clock.wakes_ns()) == readers)

    def heals(self, run: Fork, *reported: str) -> None:
        """Assert that the run continues, each event is stored once, and `reported` are the health events in order."""
        assert self.runs.patiently(run) == ("Collected", ANY), self.runs.forks.log[-2000:]
        self.row.compare(self.url, self.sandbox, self.name)
        allowed = allowed_requests(self.url, self.name, runs=1, interrupted=1 + self.attempts)
        self.row.count_requests(self.sandbox, allowed)
        assert state_of(self.url, self.name).state == "Collected"
        assert health_of(self.url, self.name) == list(reported)
        is_well(self.url, self.name, *reported)
        self.row.times = self.row.times or 1


@pytest.fixture
def torture(runs: Runs, row: Row, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Torture]:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with running_sandbox(bulk=True, events=EVENTS) as sandbox:
        sandbox.fault("delay", seconds=0.05)
        yield Torture(request.node.name, url, runs, sandbox, row)


def test_a_disk_that_fills_up(torture: Torture, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    torture.url = f"sqlite:///{small / 'events.db'}"
    torture.row.fault = "disk full (a small file system)"
    with mounted(small, "-t", "tmpfs", "-o", "size=16m", "tmpfs"):
        run = torture.start()
        torture.wait_until_it_waits(3)
        subprocess.run(["mount", "-o", "remount,size=300m", small], check=True)
        torture.heals(run)


def test_a_file_that_may_not_grow(torture: Torture) -> None:
    torture.row.fault = "disk full (a limit on file size)"
    run = torture.start_and_read()
    limit_files(run, 8 * 2**20)
    torture.wait_until_it_waits(3)
    limit_files(run, resource.RLIM_INFINITY)
    torture.heals(run)


def test_a_read_only_directory(torture: Torture, tmp_path: Path) -> None:
    """At the start of a run: what is open for writing stays so, whatever becomes of the file's mode."""
    shut = tmp_path / "shut"
    shut.mkdir()
    torture.url = f"sqlite:///{shut / 'events.db'}"
    torture.row.fault = "read-only store (SQLite)"
    with read_only(shut):
        run = torture.start()
        torture.wait_until_it_waits(3, readers=1)
    torture.heals(run)


def test_a_read_only_postgresql(torture: Torture, postgres: Postgres) -> None:
    """As after a fail-over to a standby."""
    torture.url = postgres.create("read_only")
    torture.row.fault = "read-only store (PostgreSQL)"
    run = torture.start_and_read()
    _set_read_only(postgres, "on")
    torture.wait_until_it_waits(3)
    _set_read_only(postgres, "off")
    torture.heals(run)


def _set_read_only(postgres: Postgres, value: str) -> None:
    postgres.execute(f"ALTER DATABASE read_only SET default_transaction_read_only = {value}")
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'read_only'")


def test_a_locked_sqlite_file(torture: Torture) -> None:
    """Longer than the busy timeout, which the URL sets."""
    plain, torture.url = torture.url, f"{torture.url}?timeout=0.5"
    torture.row.fault = "store locked by another process (SQLite)"
    run = torture.start_and_read()
    with locked(plain, "PRAGMA busy_timeout = 60000", "BEGIN EXCLUSIVE"):
        torture.wait_until_it_waits(2)
    torture.heals(run)


def test_a_locked_postgresql_table(torture: Torture, postgres: Postgres) -> None:
    url = postgres.create("locked")
    torture.url = f"{url}&options=-c%20lock_timeout%3D500"
    torture.row.fault = "store locked by another process (PostgreSQL)"
    run = torture.start_and_read()
    with locked(url, "BEGIN", "LOCK TABLE streams IN EXCLUSIVE MODE"):
        torture.wait_until_it_waits(2)
    torture.heals(run)


def test_a_store_that_is_gone_for_an_hour(torture: Torture, postgres: Postgres) -> None:
    """The same run goes on after it: its 90 minutes are kept in memory meanwhile."""
    torture.url = postgres.create("away")
    torture.row.fault = "store gone for an hour in the middle of a run"
    clock = torture.runs.up.clock
    run = torture.start_and_read()
    gone_ns = clock.now_ns()
    postgres.stop()
    while clock.now_ns() - gone_ns < 3600 * 10**9:
        torture.wait_until_it_waits(1)
    postgres.start()
    torture.heals(run, "FirstPartyGenericError", "Recovered")
    assert 10 <= torture.attempts <= 60


def test_a_store_that_is_gone_for_longer_than_90_minutes(torture: Torture, postgres: Postgres) -> None:
    """The run gives up; what happened is recorded when the store is back, and the next run collects."""
    torture.url = postgres.create("lost")
    torture.row.fault = "store gone for 100 minutes"
    clock, run = torture.runs.up.clock, torture.start_and_read()
    postgres.stop()
    assert torture.runs.patiently(run) == ("FirstPartyGenericError", ANY)
    clock.advance(600)
    postgres.start()
    requests_before = request_count(torture.sandbox)
    assert requests_before < EVENTS / 1000
    torture.heals(torture.runs.start(torture.name), *["FirstPartyGenericError"] * 2, "Recovered")
