"""SIGKILL of processes that backfill, one alone and two that share a job, while live collection goes on."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.one_machine import wait_until
from support.values import SOURCE
from torture.file_clock import FileClock
from torture.outcome import Row, allowed_requests, opened, request_count
from torture.postgresql import Postgres, own_database
from torture.processes import TICK, Fork, Forks, Runs
from torture.strike import feeding, until
from torture.window_rounds import READERS
from whenever import Instant

from blocks.store import sources
from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 20
DAYS = 7
DAY = 86_400 * 10**9


def ask(url: str, query: str) -> tuple[int, ...]:
    with opened(url) as engine, engine.connect() as connection:
        return tuple(int(value or 0) for value in connection.execute(text(query)).one())


def every_window_is_done(url: str) -> bool:
    unfinished = "SELECT (SELECT count(*) FROM jobs WHERE finished_ns IS NULL), count(*) FROM windows"
    return ask(url, f"{unfinished} WHERE done_ns IS NULL OR holder IS NOT NULL") == (0, 0)


def allowed_of_windows(url: str, interrupted: int) -> int:
    """The most that windows may ask for: each page once, and the last of each, which is not full; and each time that
    a process was interrupted the current page of each of its readers and the one that is read ahead, again.
    """
    (pages,) = ask(url, "SELECT sum((new + known) / 1000 + 1) FROM windows")
    return pages + 2 * READERS * interrupted


# In short: on both databases, without Prefect


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> FileClock:
    return FileClock.make(tmp_path_factory.mktemp("moved") / "clock")


@pytest.fixture(scope="module")
def backfills(tmp_path_factory: pytest.TempPathFactory, clock: FileClock) -> Iterator[Forks]:
    env = {**os.environ, "TORTURE_CLOCK": str(clock.directory)}
    with Forks.of("window_rounds", tmp_path_factory.mktemp("window_rounds"), env) as made:
        yield made


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks.of("rounds", tmp_path_factory.mktemp("live"), dict(os.environ)) as made:
        yield made


@pytest.mark.processes
def test_a_backfill_killed_at_a_random_moment(store_url: str, backfills: Forks, rounds: Forks, row: Row) -> None:
    """Another shares its job and lives; live collection begins meanwhile. A third goes on at once."""
    chance, end_ns = row.chance(), time.time_ns()
    span = {"start_ns": str(end_ns - (DAYS + 1) * DAY), "end_ns": str(end_ns)}
    with running_sandbox(bulk=True, events=12_000, days=DAYS) as sandbox:
        server = {"base_url": sandbox.base_url, "token": sandbox.token}
        sandbox.fault("delay", seconds=0.03)
        with opened(store_url) as engine:
            sources.save(engine, SOURCE)
        both = [backfills.call(url=store_url, **server, **span) for _ in range(2)]
        wait_until(lambda: request_count(sandbox) > 4)
        live = rounds.call(url=store_url, **server)
        until(chance.uniform(0, 0.4))
        row.times = int(both[0].kill())
        both[1].wait()
        backfills.call(url=store_url, **server, **span).wait()
        assert all(said.startswith("ok") for said in live.wait().values())
        assert every_window_is_done(store_url)
        row.compare(store_url, sandbox, SOURCE.name)
        row.count_requests(
            sandbox,
            allowed_requests(store_url, SOURCE.name, runs=1, interrupted=0) + allowed_of_windows(store_url, row.times),
        )


# At length: runs of the flow, each a process of its own


@dataclass
class Killed:
    """A source that is backfilled again and again by processes that are killed, and collected meanwhile."""

    name: str
    url: str
    runs: Runs
    sandbox: SandboxProcess
    row: Row
    span: dict[str, str]
    collected: int = 0

    def start(self) -> Fork:
        return self.runs.forks.call(name=self.name, **self.span)

    def collect(self) -> None:
        assert self.runs.collect(self.name)[0] == "Collected"
        self.collected += 1

    def end(self) -> None:
        """Backfill to the end. Then each event is stored once, and no more requests were made than allowed."""
        self.runs.up.clock.advance(TICK)
        assert self.start().wait(300)[0] == "Backfilled", self.runs.forks.log[-2000:]
        self.collect()
        assert every_window_is_done(self.url)
        self.row.compare(self.url, self.sandbox, self.name)
        live = allowed_requests(self.url, self.name, runs=self.collected, interrupted=0)
        self.row.count_requests(self.sandbox, live + allowed_of_windows(self.url, self.row.times))


@pytest.fixture(params=["sqlite", "postgresql"])
def killed(
    request: pytest.FixtureRequest, runs: Runs, postgres: Postgres, row: Row, tmp_path: Path
) -> Iterator[Killed]:
    name, url = own_database(request, postgres, row, tmp_path)
    now = Instant.now()
    span = {"start": now.subtract(hours=24 * (DAYS + 1)).format_iso(), "end": now.format_iso()}
    with running_sandbox(bulk=True, events=60_000, days=DAYS) as sandbox:
        sandbox.fault("delay", seconds=0.02)
        runs.save(name, url, sandbox)
        yield Killed(name, url, runs, sandbox, row, span)


@pytest.mark.prefect
@pytest.mark.torture
def test_sigkill_of_a_backfill(killed: Killed) -> None:
    chance, row = killed.row.chance(), killed.row
    with feeding(killed.sandbox, at_once=10, every=0.2):
        while row.times < KILLS:
            run = killed.start()
            live = killed.runs.start(killed.name) if chance.random() < 0.3 else None
            until(chance.uniform(0.5, 3))
            row.times += run.kill()
            if live:
                assert live.wait()[0] == "Collected"
                killed.collected += 1
    killed.end()


@pytest.mark.prefect
@pytest.mark.torture
def test_sigkill_of_one_of_two_backfills(killed: Killed) -> None:
    """The surviving run loses its claims too: the clock moves for both."""
    chance, row = killed.row.chance(), killed.row
    kills = 0
    with feeding(killed.sandbox, at_once=10, every=0.2):
        both = [killed.start(), killed.start()]
        while kills < KILLS:
            if chance.random() < 0.3:
                killed.collect()
            until(chance.uniform(0.5, 2))
            victim = chance.choice(both)
            kills += victim.kill()
            killed.runs.up.clock.advance(TICK)
            both = [killed.start() if one.ended() else one for one in both]
        row.times = 2 * kills
        assert {one.wait(300)[0] for one in both} == {"Backfilled"}
    killed.end()
    row.times = kills
