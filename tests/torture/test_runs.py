"""Runs beside each other, clocks that jump, and the 90 minutes across processes that are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest
from support.one_machine import wait_until
from torture.outcome import Row, allowed_requests, health_of, is_well, opened, request_count, state_of, states_of
from torture.postgresql import Postgres
from torture.processes import TICK, Runs, Up
from torture.strike import feeding

from blocks.store import streams
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

HOUR = 3600.0


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.create(f"at_once_{abs(hash(request.node.name))}")


def test_two_runs_at_once(url: str, runs: Runs, row: Row, request: pytest.FixtureRequest) -> None:
    """Two processes, five times over: each stream is read by one of them, and neither fails.

    One that finds each stream claimed by the other is skipped.
    """
    name = request.node.name
    row.fault = f"two runs at once ({'SQLite' if url.startswith('sqlite') else 'PostgreSQL'})"
    with running_sandbox(bulk=True, events=30_000) as sandbox:
        runs.save(name, url, sandbox)
        with feeding(sandbox):
            for _ in range(5):
                both = [runs.start(name), runs.start(name)]
                outcomes = {run.wait()[0] for run in both}
                assert outcomes in ({"Collected"}, {"Collected", "Skipped"})
                row.times += 1
        assert runs.collect(name) == ("Collected", ANY)
        row.compare(url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(url, name, runs=2 * row.times + 1, interrupted=0))
    is_well(url, name)
    assert health_of(url, name) == []


def wait_until_noticed(up: Up, seconds: float, before: int) -> None:
    """Wait until `up` has noticed that its clock was set, and has restarted its Prefect server if it was set back.

    `before` is the length of its output until then.
    """
    says = "The clock jumped" if seconds > 0 else "is stopped because the clock was set back"
    wait_until(lambda: says in up.output[before:])
    up.wait_for_server()


@pytest.mark.parametrize("hours", [3.0, -3.0, 24.0 * 40, -24.0 * 40])
def test_the_clock_jumps(hours: float, runs: Runs, row: Row, tmp_path: Path) -> None:
    """In the middle of a run, and between two."""
    clock, name, url = runs.up.clock, f"jump {hours}", f"sqlite:///{tmp_path / 'events.db'}"
    row.fault = f"clock moved {'on' if hours > 0 else 'back'} by {abs(hours):.0f} h"
    with running_sandbox(bulk=True, events=30_000) as sandbox:
        sandbox.fault("delay", seconds=0.05)
        runs.save(name, url, sandbox)
        run = runs.start(name)
        wait_until(lambda: request_count(sandbox) > 6)
        before = len(runs.up.output)
        clock.advance(hours * HOUR)
        row.times += 1
        assert run.wait() == ("Collected", ANY)
        wait_until_noticed(runs.up, hours * HOUR, before)
        before = len(runs.up.output)
        clock.advance(-hours * HOUR)
        wait_until_noticed(runs.up, -hours * HOUR, before)
        row.times += 1
        for api in ("signinattempts", "itemusages", "auditevents"):
            sandbox.arrive(api, 10)
        assert runs.collect(name) == ("Collected", ANY)
        row.compare(url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(url, name, runs=2, interrupted=0))
    is_well(url, name, "Lag", "Silence", *(["EventsInFuture"] if hours < 0 else []))


def test_the_clock_jumps_back_after_a_kill(runs: Runs, row: Row, tmp_path: Path) -> None:
    """What a killed run held is free again at the next ticks, not when the old time comes round."""
    clock, name, url = runs.up.clock, "back after a kill", f"sqlite:///{tmp_path / 'events.db'}"
    row.fault = "clock moved back by 3 h after a kill"
    with running_sandbox(bulk=True, events=30_000) as sandbox:
        sandbox.fault("delay", seconds=0.05)
        runs.save(name, url, sandbox)
        run = runs.start(name)
        wait_until(lambda: request_count(sandbox) > 6)
        row.times += run.kill()
        before = len(runs.up.output)
        clock.advance(-3 * HOUR)
        wait_until_noticed(runs.up, -3 * HOUR, before)
        for _ in range(3):
            clock.advance(TICK)
            assert runs.collect(name)[0] == "Collected"
        clock.advance(3 * HOUR)
        assert runs.collect(name)[0] == "Collected"
        row.compare(url, sandbox, name)
        row.count_requests(sandbox, allowed_requests(url, name, runs=5, interrupted=1))
    is_well(url, name, "EventsInFuture", "Lag", "Silence")


def test_the_90_minutes_go_on_in_a_new_process(runs: Runs, row: Row, tmp_path: Path) -> None:
    """One API fails, and every process that waits for it is killed; the others are collected all the while."""
    clock, name, url = runs.up.clock, "90 minutes", f"sqlite:///{tmp_path / 'events.db'}"
    row.fault = "90 minutes across restarts of the process"
    with running_sandbox(bulk=True, events=9_000) as sandbox:
        sandbox.fault("500", api="auditevents")
        runs.save(name, url, sandbox)
        since: set[int | None] = set()
        started = 0
        while "ThirdPartyGenericError" not in states_of(url, name):
            assert started < 30, "it never gives up"
            run = runs.start(name)
            started += 1
            wait_until(lambda run=run: clock.wakes_ns(run.pid) or run.ended())
            if not run.ended():
                since.add(state_of(url, name).streams[2].failing_since_ns)
                row.times += run.kill()
            clock.advance(2 * TICK)
        (first,) = since
        status = state_of(url, name)
        assert status.state == "ThirdPartyGenericError"
        assert [stream.state for stream in status.streams] == ["ok", "ok", "ThirdPartyGenericError"]
        assert first
        assert 90 * 60 <= (status.state_ns - first) / 1e9 <= 110 * 60
        audit_requests = request_count(sandbox, "auditevents")
        assert audit_requests == started, "one attempt for each process"
        assert runs.collect(name)[0] == "ThirdPartyGenericError"
        assert request_count(sandbox, "auditevents") == audit_requests, "no request for a stream that has given up"

        sandbox.clear_faults()
        with opened(url) as engine:
            streams.restart(engine, status.id)
        assert runs.collect(name) == ("Collected", ANY)
        row.compare(url, sandbox, name)
        # A run is killed as soon as one API waits, which is before it has read the others.
        row.count_requests(sandbox, allowed_requests(url, name, runs=started + 2, interrupted=row.times))
        # Once where it lasted, once where it was given up, and once where that and the gap were over.
        assert health_of(url, name) == [*["ThirdPartyGenericError"] * 2, "Gap", *["Recovered"] * 2]
        is_well(url, name, "ThirdPartyGenericError", "Gap")
