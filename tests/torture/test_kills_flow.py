"""SIGKILL of a run's process and of PostgreSQL, twenty times over, while events keep coming."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest
from support.one_machine import wait_until
from torture.outcome import Row, allowed_requests, is_well
from torture.postgresql import Postgres
from torture.processes import TICK, Runs
from torture.strike import feeding, until

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    import random
    from pathlib import Path

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

KILLS = 20


def test_sigkill_of_the_flow_process(runs: Runs, row: Row, tmp_path: Path) -> None:
    chance, name, url = row.chance(), "killed flow", f"sqlite:///{tmp_path / 'events.db'}"
    with running_sandbox(bulk=True, events=200_000) as sandbox:
        runs.save(name, url, sandbox)
        started = 0
        with feeding(sandbox):
            while row.times < KILLS:
                run = runs.start(name)
                started += 1
                until(chance.uniform(0.0, 1.5))
                row.times += run.kill()
        assert runs.collect(name) == ("Collected", ANY)
        row.compare(url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(url, name, runs=started + 1, interrupted=row.times))
    is_well(url, name)


@pytest.mark.parametrize("victim", ["postmaster", "backend"])
def test_sigkill_of_postgresql(victim: str, runs: Runs, postgres: Postgres, row: Row) -> None:
    """The current run survives: it waits for the store, and continues."""
    chance, name, url = row.chance(), f"killed {victim}", postgres.create(victim)
    row.fault = f"SIGKILL of PostgreSQL ({victim})"
    with running_sandbox(bulk=True, events=90_000) as sandbox:
        runs.save(name, url, sandbox)
        started = 0
        with feeding(sandbox):
            run = runs.start(name)
            while row.times < KILLS:
                until(chance.uniform(0.0, 1.0))
                row.times += _strike(postgres, victim, chance)
                wait_until(postgres.answers)
                runs.up.clock.advance_to_next_wake()
                if run.ended():
                    assert run.wait() == ("Collected", ANY)
                    run, started = runs.start(name), started + 1
        assert runs.patiently(run) == ("Collected", ANY)
        runs.up.clock.advance(TICK)
        assert runs.collect(name) == ("Collected", ANY)
        row.compare(url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(url, name, runs=started + 2, interrupted=row.times))
    is_well(url, name, "FirstPartyGenericError")


def _strike(postgres: Postgres, victim: str, chance: random.Random) -> bool:
    if victim == "postmaster":
        postgres.kill()
        postgres.start()
        return True
    backends = postgres.backends("backend")
    if backends:
        chance.choice(backends).kill()
    return bool(backends)
