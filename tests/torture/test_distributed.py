"""A backfill whose parallel runs are on two workers of the work pool, which seem to be on two machines."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sqlalchemy import text
from support.one_machine import repeating, wait_until
from torture.outcome import Row, opened
from torture.processes import COMMAND, Up

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

RUNS = 3  # the requested one, and its two parallel runs
PREFECT = Path(sys.executable).with_name("prefect")


@contextlib.contextmanager
def two_workers(up: Up) -> Iterator[None]:
    """Within it they take the runs of the pool, each one at a time, and the worker of `up` takes none."""
    env = {**up.env, **json.loads(up.call("env", "--json"))}
    command = [PREFECT, "worker", "start", "--pool", "onepassword-source", "--type", "onepassword-source"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(suspended_worker(up))
        for name in ("first", "second"):
            log = stack.enter_context((up.directory / f"{name}.log").open("w"))
            worker = stack.enter_context(
                subprocess.Popen(
                    [*command, "--limit", "1", "--name", name], env=env, cwd=up.directory, stdout=log, stderr=log
                )
            )
            stack.callback(worker.terminate)
        yield


@contextlib.contextmanager
def suspended_worker(up: Up) -> Iterator[None]:
    """Suspend the worker of `up`, and each one that `up` starts in its place because it does not poll."""

    def suspend() -> None:
        with contextlib.suppress(psutil.Error):
            if worker := up.part("worker"):
                worker.suspend()

    try:
        with repeating(suspend, 0.1):
            yield
    finally:
        if worker := up.part("worker"):
            worker.resume()


def reads_by_run(up: Up, name: str) -> dict[str, int]:
    """How many windows each run of the backfill has read, by the run's name."""
    runs = up.ask("POST", "/api/flow_runs/filter", json={"flows": {"name": {"any_": ["backfill"]}}}).json()
    found: dict[str, int] = {}
    for run in runs:
        if run["parameters"]["source"] == name:
            wanted: dict[str, Any] = {
                "flow_runs": {"id": {"any_": [run["id"]]}},
                "task_runs": {"name": {"like_": "read "}, "state": {"type": {"any_": ["COMPLETED"]}}},
            }
            found[run["name"]] = int(up.ask("POST", "/api/task_runs/count", json=wanted).json())
    return found


def all_read(up: Up, name: str) -> bool:
    reads = reads_by_run(up, name)
    return len(reads) == RUNS and all(reads.values())


def test_parallel_runs_of_a_backfill_on_two_workers(up: Up, row: Row) -> None:
    name = "parallel"
    row.fault, row.times = "a backfill in parallel runs on two workers", 2
    wishes = ["--start", "8d", "--window", "2h", "--readers", "1", "--distributed", "2", "--json"]
    with running_sandbox(bulk=True, events=60_000, days=7) as sandbox:
        up.apply(name, sandbox)
        sandbox.fault("delay", seconds=0.5)
        with two_workers(up):
            command = [COMMAND, "backfill", name, *wishes]
            with subprocess.Popen(
                command, env=up.env, cwd=up.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                wait_until(lambda: process.poll() is not None or all_read(up, name), 240)
                sandbox.clear_faults()
                out, err = process.communicate(timeout=200)
            assert process.returncode == 0, err.decode()
            answer = json.loads(out)
            wait_until(lambda: up.ask("POST", "/api/flow_runs/count", json=_unfinished(name)).json() == 0)
        reads = reads_by_run(up, name)
        assert len(reads) == RUNS
        assert all(reads.values()), reads
        assert answer["state"] == "Backfilled"
        assert answer["windows_total"] == answer["windows_done"] == sum(reads.values()), "each is read by one of them"
        assert answer["new"] + answer["known"] == answer["read"]
        row.compare(up.url, sandbox, name)
        row.notes.append(f"windows read: {', '.join(f'{count} by {run}' for run, count in sorted(reads.items()))}")
        with opened(up.url) as engine, engine.connect() as connection:
            of_job = text("SELECT count(*), count(finished_ns) FROM jobs WHERE id = :id")
            assert tuple(connection.execute(of_job, {"id": answer["job"]}).one()) == (1, 1)


def _unfinished(name: str) -> dict[str, Any]:
    states = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}
    return {
        "deployments": {"name": {"any_": [name]}},
        "flows": {"name": {"any_": ["backfill"]}},
        "flow_runs": {"state": states},
    }
