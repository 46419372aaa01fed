"""The watchdog with a real store, a real server that hangs, and a real worker's file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from support.ended_runs import end_run
from support.moving_clock import MovingClock
from support.one_machine import environment, run_python
from support.raw_server import listening
from support.values import SOURCE

from blocks import clock
from blocks.store import health, sources
from deployments import cli
from deployments.one_machine import notifier, watchdog_setup
from deployments.one_machine.probes import Probes, RunActivity
from deployments.one_machine.watchdog import ClockReading, Event, Restart, TerminalLine, Watchdog

if TYPE_CHECKING:
    import socket
    import threading
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch, store_url: str, tmp_path: Path) -> MovingClock:
    own = MovingClock()
    monkeypatch.setattr(clock, "clock", own)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    return own


def answer_well(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")


def answer_nothing(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(60)


class Machine:
    """An `up` whose clocks the test moves: the worker polls, and no run works."""

    def __init__(self, url: str, heartbeat: Path, moving: MovingClock) -> None:
        self.moving, self.heartbeat = moving, heartbeat
        self.dog: Watchdog = watchdog_setup.watchdog(f"{url}/api", heartbeat)
        self.dog._clock = lambda: watchdog_moment(moving)
        self.dog._state.last = watchdog_moment(moving)
        self.polls = 0
        self.dog.started("server")
        self.dog.started("worker")

    def go(self, seconds: float) -> list[Event]:
        found: list[Event] = []
        for _ in range(int(seconds / 60)):
            self.moving.advance(60)
            self.polls += 1
            self.heartbeat.touch()
            os.utime(self.heartbeat, ns=(self.polls, self.polls))
            self.dog.check_once()
            found += self.dog.drain_events()
        return found


def watchdog_moment(moving: MovingClock) -> ClockReading:
    return ClockReading(moving.now_ns() / 1e9, moving.now_ns() / 1e9)


def test_dead_runs_are_health_events_though_no_run_works(
    engine: Engine, moving: MovingClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.save(engine, SOURCE)
    end_run(engine)
    with listening(answer_well) as server:
        machine = Machine(server.url, tmp_path / "heartbeat", moving)
        assert machine.go(8 * 60) == []
        reports, restart = machine.go(60)
        assert isinstance(reports, TerminalLine)
        assert "Trouble: No run has worked for 8 min, and one is due every five minutes. " in reports.text
        assert isinstance(restart, Restart)
        machine.go(60 * 60)
        events = health.unpublished(engine, SOURCE.id)
        assert [(one.name, one.severity) for one in events if one.tracker == "runs"] == [
            ("NotRunning", "Warning"),
            ("NotRunning", "Error"),
        ]
        assert {one.tracker for one in events} == {"runs", "lag/sign-in", "lag/itemUsage", "lag/audit"}
        assert cli.main(["health", "1Pass", "--json"]) == cli.DONE
        assert "NotRunning" in {one["eventName"] for one in json.loads(capsys.readouterr().out)}
        end_run(engine)
        (over,) = machine.go(60)
        assert isinstance(over, TerminalLine)
        assert "Over: Runs work again." in over.text
        assert health.open_conditions(engine, SOURCE.id) == {}


def test_a_notifier_listens_where_one_is_named(
    moving: MovingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watchdog_setup.watchdog("http://127.0.0.1:1/api", tmp_path / "beat")._listeners == ()
    monkeypatch.setenv("ONEPASSWORD_SOURCE_NOTIFY", "slack-webhook/security")
    (one,) = watchdog_setup.watchdog("http://127.0.0.1:1/api", tmp_path / "beat")._listeners
    assert isinstance(one, notifier.Notifier)


SMALL = """
import sys, time
import deployments.cli, deployments.one_machine.up
from deployments.one_machine.probes import probe_runs
assert probe_runs(time.time_ns()).due == 1
print(sorted({"sqlalchemy", "pydantic", "prefect"} & set(sys.modules)))
"""


def test_up_judges_runs_without_what_is_large(engine: Engine, store_url: str, tmp_path: Path) -> None:
    """SQLAlchemy and what the store's tables need is 30 of the 57 MB that `up` would take."""
    sources.save(engine, SOURCE)
    env = {**environment(tmp_path, 1), "ONEPASSWORD_SOURCE_DATABASE_URL": store_url, "PYTHONPATH": ""}
    assert run_python(SMALL, env, tmp_path) == "[]"


def test_a_disk_that_fills_is_a_warning_and_up_stays_healthy(tmp_path: Path, moving: MovingClock) -> None:
    shortage: list[str | None] = [None, "Only 1 MB are free.", "Only 1 MB are free.", None]
    dog = Watchdog(
        Probes(lambda: None, lambda: 1, lambda _: RunActivity(), lambda: shortage.pop(0)), tmp_path / "health"
    )
    dog._clock = lambda: watchdog_moment(moving)
    dog._state.last = watchdog_moment(moving)
    seen = [dog.check_once() for _ in range(4)]
    assert [[one.text for one in found.warnings] for found in seen] == [[], ["Only 1 MB are free."]] * 1 + [
        ["Only 1 MB are free."],
        [],
    ]
    assert all(found.troubles == () for found in seen)
    begun, over = dog.drain_events()
    assert isinstance(begun, TerminalLine)
    assert isinstance(over, TerminalLine)
    assert (begun.event, begun.what, over.event) == ("problem", "disk", "recovered")
    assert "Warning: Only 1 MB are free." in begun.text
