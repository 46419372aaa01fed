"""SIGTERM ends `up` and all that it started, whatever hangs; and a run is a process like any other."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from support.one_machine import lives, wait_until
from support.up_process import Up, sources

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torture.outcome import Row

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.torture, pytest.mark.prefect]

STOP_SECONDS = 30.0
STATES = "SELECT state_type::text, state_name FROM flow_run WHERE name LIKE 'collect %%' AND start_time IS NOT NULL"


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=300, days=1) as running:
        yield running


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path)
    made.data.mkdir(mode=0o700)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("frozen", [("guarded_server",), ("worker",), ("guarded_server", "worker", "postgres")])
def test_sigterm_ends_it_within_thirty_seconds_whatever_hangs(up: Up, row: Row, frozen: tuple[str, ...]) -> None:
    assert up.process is not None
    all_of_it = up.processes()
    for part in frozen:
        _part(up, part).suspend()
    before = time.monotonic()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(120) == 0
    row.times, row.seconds = 1, time.monotonic() - before
    row.notes = [f"{', '.join(frozen)} frozen: ended after {row.seconds:.0f} s"]
    wait_until(lambda: not any(map(lives, all_of_it)), 30)
    assert row.seconds < STOP_SECONDS * 2, "thirty seconds, on a machine under no other load"


def _part(up: Up, name: str) -> psutil.Process:
    if name != "postgres":
        return up.part(name)
    path = up.data / "prefect" / "postgresql-18" / "postmaster.pid"
    return psutil.Process(int(path.read_text().split("\n", 1)[0]))


def test_a_run_that_is_killed_is_crashed_and_the_next_goes_on(up: Up, sandbox: SandboxProcess, row: Row) -> None:
    sandbox.fault("delay", seconds=20)
    up.apply("sources", sources(sandbox, 1))
    run = wait_until(lambda: _run_of(up), 120)
    wait_until(lambda: ("RUNNING", "Collecting") in up.rows(STATES), 120)
    run.kill()
    wait_until(lambda: ("CRASHED", "Crashed") in up.rows(STATES), 120)
    sandbox.clear_faults()
    begun = time.time_ns()
    up.call("collect", "source-000")
    row.times, row.seconds = 1, (time.time_ns() - begun) / 1e9
    assert up.rows("SELECT count(*) FROM flow_run WHERE state_type = 'RUNNING'") == [(0,)]


def _run_of(up: Up) -> psutil.Process | None:
    """The run that is under way: a child of the template."""
    template = next(one for one in up.part("worker").children() if lives(one))
    return next(iter(template.children()), None)


def test_a_run_that_waits_shows_that_it_lives(up: Up, sandbox: SandboxProcess, row: Row) -> None:
    for api in ("signinattempts", "itemusages", "auditevents"):  # and not introspection, which `apply` needs
        sandbox.fault("500", api=api)
    up.apply("sources", sources(sandbox, 1))
    heartbeats = "SELECT count(*) FROM events WHERE event = 'prefect.flow-run.heartbeat'"
    wait_until(lambda: up.rows(heartbeats)[0][0] >= 2, 240)
    row.times = 1
