"""The probes of the watchdog: a server's answers, a worker's file, and the runs of a real store."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.ended_runs import end_run
from support.raw_server import always, answered, listening
from support.values import SOURCE

from blocks import clock, liveness
from blocks.errors import FirstPartyGenericError
from blocks.health import ERROR, Condition
from blocks.liveness import Judgement, Signs, StreamSigns
from blocks.store import health, lifecycle, sources
from deployments.one_machine import probes
from deployments.one_machine.probes import (
    ProbeError,
    Probes,
    RunActivity,
    probe_runs,
    server_probe,
    summarize,
    worker_probe,
)

if TYPE_CHECKING:
    import socket
    import threading
    from pathlib import Path

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

SECOND = 10**9
NOT_RUNNING = Condition(liveness.RUNS, "NotRunning", ERROR, "No run works.")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, store_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))


def test_a_server_that_answers_200_is_well_and_each_check_sends_a_request() -> None:
    with listening(always(answered(b"true"))) as server:
        probe = server_probe(f"{server.url}/api")
        probe()
        probe()
        assert [request.split(b"\r\n")[0] for request in server.requests] == [b"GET /api/health HTTP/1.1"] * 2
        assert server.connections == 2


@pytest.mark.parametrize("status", [b"503 No", b"401 Who", b"204 Empty"])
def test_another_status_is_named(status: bytes) -> None:
    with listening(always(answered(b"", status))) as server, pytest.raises(ProbeError) as raised:
        server_probe(f"{server.url}/api")()
    assert str(raised.value) == f"status {status[:3].decode()}"


def test_a_server_that_is_gone_cannot_be_connected_to() -> None:
    with listening(always(b"")) as server:
        pass
    with pytest.raises(ProbeError, match=r"^connect$") as raised:
        server_probe(f"{server.url}/api")()
    assert raised.value.__suppress_context__, "the address of the server is not in a traceback"


def test_a_server_that_hangs_is_noticed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer_nothing(_connection: socket.socket, over: threading.Event) -> None:
        over.wait(60)

    monkeypatch.setattr(probes, "SERVER_SECONDS", 0.2)
    with listening(answer_nothing) as server, pytest.raises(ProbeError, match="timeout"):
        server_probe(f"{server.url}/api")()


def test_the_probe_of_the_worker_sees_each_poll(tmp_path: Path) -> None:
    heartbeat = tmp_path / "worker-heartbeat"
    probe = worker_probe(heartbeat)
    assert probe() is None
    heartbeat.touch()
    os.utime(heartbeat, ns=(1, 1))
    assert probe() == 1
    os.utime(heartbeat, ns=(1, 7))
    assert probe() == 7


def test_a_disk_is_well_unless_something_probes_it() -> None:
    assert Probes(lambda: None, lambda: None, lambda _: RunActivity()).disk() is None


def judged(name: str = "1Pass", *, running: bool = True, due: float = -3600, seen: float | None = None) -> Judgement:
    """A source that is due since `due` and was last seen at `seen`, in seconds from now."""
    now_ns = clock.now_ns()
    state_ns = None if seen is None else now_ns + int(seen * SECOND)
    signs = Signs("1" * 32, name, now_ns + int(due * SECOND), "Collected", state_ns, None, paused=False, streams=())
    return Judgement(signs, active=() if running else (NOT_RUNNING,))


@pytest.mark.usefixtures("moving")
def test_nothing_is_due_without_sources() -> None:
    assert summarize([]) == RunActivity(0, (), None)


def test_due_sources_are_counted_and_those_that_do_not_run_are_named(moving: MovingClock) -> None:
    found = summarize([judged("a"), judged("b", running=False), judged("c"), judged("d", running=False)])
    assert found == RunActivity(4, ("b", "d"), moving.now_ns() - 3600 * SECOND)


@pytest.mark.parametrize(
    ("due", "seen", "newest"),
    [
        (-3600, None, -3600),  # it was never seen: the time since when it is due counts
        (-3600, -60, -60),
        (-60, -3600, -60),  # restarted since
        (60, -3600, 0),  # a time in the future is no sign of life
        (60, None, 0),
        (-3600, 100, 100),  # the clock of another machine, slightly ahead
        (-3600, 300, -3600),  # too far ahead
    ],
)
def test_the_newest_sign_of_life(moving: MovingClock, due: float, seen: float | None, newest: float) -> None:
    assert summarize([judged(due=due, seen=seen)]).newest_ns == moving.now_ns() + newest * SECOND
    both = [judged(due=due, seen=seen), judged(due=-7200)]
    assert summarize(both).newest_ns == summarize(both[::-1]).newest_ns == moving.now_ns() + newest * SECOND


@pytest.mark.usefixtures("moving")
def test_what_is_stopped_or_final_is_not_due() -> None:
    one = judged(running=False, seen=0).signs
    over = replace(one, streams=(StreamSigns("audit", stopped=True),))
    found = [replace(one, paused=True), replace(one, state="ThirdPartyConfigError"), over]
    assert summarize([Judgement(signs, active=(NOT_RUNNING,)) for signs in found]) == RunActivity(0, (), None)
    going = replace(over, streams=(*over.streams, StreamSigns("itemUsage")))
    assert summarize([Judgement(going, active=(NOT_RUNNING,))]) == RunActivity(1, ("1Pass",), one.state_ns)


@pytest.mark.usefixtures("settings")
def test_which_sources_are_due(engine: Engine, moving: MovingClock) -> None:
    assert probe_runs(clock.now_ns()) == RunActivity()
    sources.save(engine, SOURCE)
    other = replace(SOURCE, id="2" * 32, name="other")
    sources.save(engine, other)
    start_ns = clock.now_ns()
    moving.advance(600)
    end_run(engine)
    assert probe_runs(start_ns) == RunActivity(2, (), clock.now_ns())
    moving.advance(300)
    assert probe_runs(start_ns) == RunActivity(2, ("other",), clock.now_ns() - 300 * SECOND)
    assert {one.name for one in health.unpublished(engine, other.id)} == {"NotRunning"}, "it is written to the store"
    assert health.unpublished(engine, SOURCE.id) == []
    identity = lifecycle.find(engine, "other")
    assert identity
    lifecycle.pause(engine, identity)
    assert probe_runs(start_ns) == RunActivity(1, (), clock.now_ns() - 300 * SECOND)


def test_a_store_that_is_not_there_yet_is_no_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    assert probe_runs(1) == RunActivity()
    assert not (tmp_path / "none.db").exists()


def test_a_store_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    with pytest.raises(FirstPartyGenericError):
        probe_runs(1)
