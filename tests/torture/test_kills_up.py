"""SIGKILL of the runner (the worker of `up`) and of the Prefect server, twenty times over, while events keep coming."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.one_machine import wait_until
from torture.file_clock import FileClock
from torture.outcome import Row, allowed_requests, is_well
from torture.processes import HERE, TICK, Up
from torture.strike import feeding, until
from whenever import Instant

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil


pytestmark = [pytest.mark.prefect, pytest.mark.torture]

KILLS = 20
DEAD_SECONDS = 400  # a run whose process is gone counts as running until its heartbeats are missed for three minutes
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="module")
def killed_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    directory = tmp_path_factory.mktemp("killed")
    made = Up(directory, (), clock=FileClock.make(directory / "clock"), script=HERE / "run_up.py")
    made.start()
    try:
        yield made
    finally:
        made.stop_if_running()


@pytest.mark.parametrize("victim", ["worker", "guarded_server"], ids=["worker", "server"])
def test_sigkill_of_a_child_of_up(victim: str, killed_up: Up, row: Row) -> None:
    up, chance, name = killed_up, row.chance(), f"killed {victim}"
    row.fault = f"SIGKILL of the {'worker' if victim == 'worker' else 'Prefect server'}"
    with running_sandbox(bulk=True, events=90_000) as sandbox:
        sandbox.fault("delay", seconds=0.05)  # a run is to last a while
        up.apply(name, sandbox)
        with feeding(sandbox):
            while row.times < KILLS:
                _start_a_run(up, name)
                if chance.random() < 0.7:  # else it is killed while it starts, too
                    _wait_until_ready(up, victim)
                until(chance.uniform(0, 6))
                _kill(up, victim)
                row.times += 1
                up.clock.advance(TICK)
        _wait_until_ready(up, victim)
        _last_run(up, name)
        row.compare(up.url, sandbox, name)
        runs = len(_runs(up, name))
        row.count_requests(sandbox, allowed_requests(up.url, name, runs=runs, interrupted=row.times))
    is_well(up.url, name, "FirstPartyGenericError", "Lag", "SharedAccount")  # all sandboxes are of one account


def _kill(up: Up, victim: str) -> None:
    """SIGKILL the child, and wait until `up` has restarted it."""
    child: psutil.Process = wait_until(lambda: up.part(victim))
    child.kill()
    wait_until(lambda: (new := up.part(victim)) and new.pid != child.pid)


def _start_a_run(up: Up, name: str) -> None:
    with contextlib.suppress(httpx.TransportError, AssertionError):  # the server may be down just now
        up.run(name)


def _wait_until_ready(up: Up, victim: str) -> None:
    if victim == "guarded_server":
        up.wait_for_server()
    else:
        wait_until(lambda: "started!" in up.output.rpartition("The worker ended")[2])


def _runs(up: Up, name: str, **more: Any) -> list[dict[str, Any]]:
    wanted = {"deployments": {"name": {"any_": [name]}}, "flow_runs": {"start_time": {"is_null_": False}, **more}}
    return list(up.ask("POST", "/api/flow_runs/filter", json=wanted).json())


def _last_run(up: Up, name: str) -> None:
    """Run the flow until it has read all APIs to their ends, after the late runs that the kills left.

    A run that survived its worker may still read although the server has marked it as crashed; then another one reads.
    """

    def collected() -> bool:
        wait_until(lambda: not _due(up, name), DEAD_SECONDS)
        up.clock.advance(TICK)
        run = up.run(name)
        wait_until(lambda: up.state(run)["type"] in ENDS)
        ended = up.state(run)
        return ended["message"].startswith("Collected: ") and "another run" not in ended["message"]

    wait_until(collected, DEAD_SECONDS)


def _due(up: Up, name: str) -> int:
    """The number of runs that run or are due. One whose start was lost stays pending for 15 minutes."""
    now = Instant.now().format_iso()
    states = {"type": {"any_": ["RUNNING", "CANCELLING", "SCHEDULED"]}}
    runs = {"state": states, "expected_start_time": {"before_": now}}
    wanted = {"deployments": {"name": {"any_": [name]}}, "flow_runs": runs}
    return int(up.ask("POST", "/api/flow_runs/count", json=wanted).json())


LATE = 100


def test_a_pile_of_late_runs(killed_up: Up, row: Row) -> None:
    """With a hundred due runs at its start, `up` soon runs a few and cancels the others."""
    up, name = killed_up, "late"
    row.fault, row.times = "a pile of 100 late runs", LATE
    with running_sandbox(bulk=True, events=30_000) as sandbox:
        up.apply(name, sandbox)
        worker = up.part("worker")
        assert worker
        worker.suspend()
        late = [up.run(name) for _ in range(LATE)]
        assert up.stop() == []
        up.start()
        started = time.monotonic()
        wait_until(lambda: not _open_runs(up, late), 300)
        row.seconds = time.monotonic() - started
        states = [up.state(run)["type"] for run in late]
        assert set(states) <= {"COMPLETED", "CANCELLED"}, states
        assert "COMPLETED" in states
        _last_run(up, name)
        row.compare(up.url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(up.url, name, runs=states.count("COMPLETED") + 3, interrupted=0))


def _open_runs(up: Up, runs: list[str]) -> bool:
    """True if one of the runs is still to be run, or if the server is too busy to answer."""
    wanted = {"flow_runs": {"id": {"any_": runs}, "state": {"type": {"not_any_": sorted(ENDS)}}}}
    try:
        return bool(up.ask("POST", "/api/flow_runs/count", json=wanted).json())
    except httpx.TimeoutException:
        return True
