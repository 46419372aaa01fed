"""What the watchdog of `up` reports and has restarted, by a clock that the test moves."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from support.one_machine import wait_until

from blocks.errors import FirstPartyGenericError
from deployments import up_health
from deployments.one_machine import watchdog
from deployments.one_machine.probes import ProbeError, Probes, RunActivity
from deployments.one_machine.watchdog import ClockReading, ClockSetBack, Event, Restart, TerminalLine, Watchdog

GOES_ON = "No event is lost: what is due is collected when it works again."
ROUND = 15
START = 1_790_000_000


@dataclass
class World:
    """Everything that is watched, as a test has it, and the clocks."""

    path: Path
    wall: float = START
    steady: float = 1000
    server_fails: str = ""
    polls: bool = True
    poll: int = 0
    store_fails: str = ""
    seen: RunActivity = field(default_factory=RunActivity)
    runs_work: bool = True
    watched: list[int] = field(default_factory=list)
    events: list[tuple[float, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dog = Watchdog(Probes(self._server, self._worker, self._runs), self.path, clock=self._moment)

    def _moment(self) -> ClockReading:
        return ClockReading(self.wall, self.steady)

    def _server(self) -> None:
        if self.server_fails:
            raise ProbeError(self.server_fails)

    def _worker(self) -> int:
        self.poll += self.polls and not self.server_fails
        return self.poll

    def _runs(self, watched_ns: int) -> RunActivity:
        self.watched.append(watched_ns)
        if self.store_fails:
            raise FirstPartyGenericError(self.store_fails)
        return replace(self.seen, newest_ns=int(self.wall * 1e9)) if self.runs_work else self.seen

    def start(self) -> None:
        self.seen = RunActivity(due=1)
        self.dog.started("server")
        self.dog.started("worker")
        self.go(2 * ROUND)

    def sleep(self, seconds: float) -> None:
        self.wall += seconds

    def go(self, seconds: float) -> list[Event]:
        """Rounds for so long; what came of them. Whatever is to be restarted is, at once."""
        found: list[Event] = []
        for _ in range(int(seconds / ROUND)):
            self.wall += ROUND
            self.steady += ROUND
            self.dog.check_once()
            drained = self.dog.drain_events()
            self.events += [(self.steady, event) for event in drained]
            for event in drained:
                if isinstance(event, Restart):
                    self.dog.started(event.process)
            found += drained
        return found

    def restarts(self) -> list[float]:
        return [at for at, event in self.events if isinstance(event, Restart)]

    @property
    def health(self) -> up_health.UpHealth:
        found = up_health.read(self.path)
        assert found
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    new_world = World(tmp_path / "up-health.json")
    new_world.start()
    return new_world


def says(events: list[Event]) -> list[str]:
    return [event.text[20:] for event in events if isinstance(event, TerminalLine)]


def test_all_is_well(world: World) -> None:
    assert world.go(3600) == []
    assert world.health == up_health.UpHealth(world.wall, healthy=True, troubles=(), started=START)
    assert world.path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_watched_that_was_not_started(tmp_path: Path) -> None:
    world = World(tmp_path / "up-health.json", server_fails="no", polls=False, store_fails="no", runs_work=False)
    assert world.go(600) == []
    assert not world.health.healthy


def test_a_server_that_does_not_answer_is_reported_within_two_minutes_and_restarted(world: World) -> None:
    world.server_fails = "ReadTimeout"
    assert world.go(45) == []
    (event,) = world.go(15)
    assert isinstance(event, TerminalLine)
    assert event.text[20:] == (
        "Trouble: The Prefect server does not answer (ReadTimeout), so no run begins. "
        "No event is lost: what is due is collected when it works again."
    )
    assert not world.health.healthy
    (trouble,) = world.health.troubles
    assert (trouble.what, trouble.since) == ("server", world.wall - 45)
    assert world.go(60) == [Restart("server", "it does not answer")]
    world.server_fails = ""
    assert says(world.go(60)) == ["Over: The Prefect server answers again."]
    assert world.health.healthy
    assert (world.health.server_restarts, world.health.worker_restarts) == (1, 0)


def test_one_missed_answer_is_no_trouble(world: World) -> None:
    for _ in range(10):
        world.server_fails = "ReadTimeout"
        assert world.go(30) == []
        world.server_fails = ""
        assert world.go(15) == []


def test_restarts_that_do_not_help_come_ever_more_rarely_and_are_reported_once(world: World) -> None:
    world.server_fails = "ReadTimeout"
    world.go(6 * 3600)
    times = world.restarts()
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 400
    assert 3600 <= pauses[-1] < 4000
    assert len(says([event for _, event in world.events])) == 1
    world.server_fails = ""
    world.go(1200)
    world.server_fails = "ReadTimeout"
    world.events.clear()
    world.go(900)
    assert len(world.restarts()) >= 2, "after a good while it is a new trouble"


def test_a_server_that_starts_gets_its_time(world: World) -> None:
    world.dog.started("server")
    world.server_fails = "ConnectError"
    assert world.go(180) == []
    world.server_fails = ""
    assert world.go(60) == []


def test_a_worker_that_does_not_poll_is_reported_and_restarted(world: World) -> None:
    world.polls = False
    assert world.go(60) == []
    assert says(world.go(15)) == [f"Trouble: The worker does not poll for runs any more, so none begins. {GOES_ON}"]
    assert world.go(30) == [Restart("worker", "it does not poll for runs")]
    world.polls = True
    assert says(world.go(30)) == ["Over: The worker polls for runs again."]
    assert world.health.worker_restarts == 1


def test_a_worker_that_starts_gets_its_time_though_the_file_of_the_one_before_is_there(tmp_path: Path) -> None:
    world = World(tmp_path / "up-health.json", poll=7, polls=False)
    world.start()
    assert world.go(180) == []
    assert len(says(world.go(75))) == 1


def test_a_worker_whose_server_does_not_answer_is_not_to_blame(world: World) -> None:
    world.server_fails = "ReadTimeout"
    world.go(1800)
    world.server_fails = ""
    world.go(600)
    assert {event.process for _, event in world.events if isinstance(event, Restart)} == {"server"}
    assert [event for _, event in world.events if isinstance(event, TerminalLine) and "worker" in event.text] == []


def test_a_machine_that_slept_raises_no_alarm(world: World) -> None:
    world.runs_work = False
    world.seen = RunActivity(due=1, newest_ns=int(world.wall * 1e9))
    world.sleep(8 * 3600)
    world.polls = False
    world.server_fails = "ReadTimeout"
    (event,) = world.go(60)
    assert says([event]) == ["The clock jumped 8 h ahead: the machine slept, or the clock was set."]
    assert world.watched[-1] >= (START + 8 * 3600) * 10**9
    world.polls, world.server_fails, world.runs_work = True, "", True
    assert world.go(600) == []


def test_a_watchdog_that_could_not_run_itself_blames_no_component(world: World) -> None:
    world.server_fails = "ReadTimeout"
    world.polls = False
    assert world.go(30) == []
    world.steady += 600
    world.wall += 600
    assert world.go(60) == []


def test_a_clock_that_is_set_forward_is_reported_and_no_alarm(world: World) -> None:
    world.wall += 7200
    assert says(world.go(600)) == ["The clock jumped 2 h ahead: the machine slept, or the clock was set."]
    assert world.restarts() == []
    assert world.watched[-1] // 10**9 > world.wall - 700


def test_a_clock_that_is_set_back_is_reported_and_the_server_is_to_plan_again(world: World) -> None:
    for seconds, words in ((7200, "2 h"), (600, "10 min"), (20, "")):
        world.wall -= seconds
        events = world.go(600)
        assert says(events) == ([f"The clock was set back by {words}."] if words else [])
        assert [round(event.seconds) for event in events if isinstance(event, ClockSetBack)] == [seconds][: bool(words)]
        assert not words or world.watched[-1] // 10**9 > world.wall - 700
    assert world.restarts() == []
    assert world.health.started == START - 7800


def test_a_trouble_lasts_as_long_as_it_did_once_the_clock_was_set_back(world: World) -> None:
    world.server_fails = "ReadTimeout"
    world.go(120)
    (before,) = world.health.troubles
    lasted = world.wall - before.since
    world.wall -= 7200
    world.go(ROUND)
    (after,) = world.health.troubles
    assert world.wall - after.since == lasted + ROUND


def test_runs_that_do_not_work_are_reported_and_the_worker_is_restarted(world: World) -> None:
    world.runs_work = False
    world.seen = RunActivity(due=2, newest_ns=int(world.wall * 1e9))
    assert world.go(420) == []
    report, restart = world.go(15)
    assert isinstance(report, TerminalLine)
    assert report.text[20:] == (
        "Trouble: No run has worked for 7 min, and one is due every five minutes. "
        "No event is lost: what is due is collected when it works again."
    )
    assert restart == Restart("worker", "no run works")
    assert world.go(600) == [Restart("worker", "no run works")]
    world.runs_work = True
    assert says(world.go(15)) == ["Over: Runs work again."]


def test_no_source_is_due_and_so_none_is_missed(world: World) -> None:
    world.runs_work = False
    world.seen = RunActivity(due=0, newest_ns=None)
    assert world.go(7200) == []


def test_some_sources_that_are_not_running_are_named_and_nothing_is_restarted(world: World) -> None:
    world.seen = RunActivity(due=9, not_running=tuple("abcdefg"))
    (report,) = world.go(900)
    assert isinstance(report, TerminalLine)
    assert "Trouble: No run has worked for more than two ticks of a, b, c, d, e and 2 more. " in report.text
    assert not world.health.healthy


def test_a_store_that_does_not_answer_is_reported(world: World) -> None:
    world.store_fails = "The store did not answer: the disk is full."
    (report,) = says(world.go(60))
    assert report == (
        "Trouble: The store cannot be used: The store did not answer: the disk is full. No event is stored until it "
        "answers. 1Password keeps events for 120 days, so none is lost until then. Check database and disk."
    )
    world.store_fails = ""
    assert says(world.go(15)) == ["Over: The store answers again."]


def test_a_file_that_cannot_be_written_is_said_once(world: World) -> None:
    world.path.unlink()
    world.path.mkdir()
    assert [text for text in says(world.go(60)) if "cannot be written" in text] or world.events
    assert len([event for _, event in world.events if isinstance(event, TerminalLine)]) == 1


def test_a_listener_learns_whether_each_probe_was_good(tmp_path: Path) -> None:
    heard: list[bool] = []

    class Ear:
        def after_round(self, found: up_health.UpHealth, *, all_good: bool) -> list[str]:
            assert found.time == world.wall
            heard.append(all_good)
            return ["heard"] if not all_good else []

    world = World(tmp_path / "up-health.json")
    world.dog = Watchdog(
        Probes(world._server, world._worker, world._runs), world.path, listeners=[Ear()], clock=world._moment
    )
    world.go(15)
    world.start()
    assert heard == [False, True, True]
    world.server_fails = "ReadTimeout"
    assert says(world.go(15)) == ["heard"]
    world.server_fails, world.store_fails = "", "No."
    world.go(15)
    world.store_fails = ""
    world.seen = replace(world.seen, not_running=("a",))
    world.go(15)
    assert heard[3:] == [False, False, False]


def test_it_watches_in_a_thread_that_nothing_holds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(watchdog, "MIN_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "SERVER_LIMIT", 0.05)
    monkeypatch.setattr(watchdog, "FAILING_SECONDS", 0.0)
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.0)
    hung = threading.Event()
    calls: list[int] = []

    def server() -> None:
        calls.append(1)
        hung.wait(60)

    path = tmp_path / "up-health.json"
    dog = Watchdog(Probes(server, lambda: None, lambda _: RunActivity()), path)
    dog.start()
    dog.started("server")
    try:
        (report,) = wait_until(dog.drain_events)
        assert "does not answer (no answer within" in report.text
        assert calls == [1], "no second call while the first hangs"
        assert up_health.read(path)
    finally:
        hung.set()
        dog.stop()
    assert not path.exists()


def test_a_failing_probe_is_reported_once_and_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(watchdog, "MIN_PAUSE_SECONDS", 0.01)
    rounds: list[int] = []

    def fails() -> None:
        rounds.append(1)
        raise ZeroDivisionError

    dog = Watchdog(Probes(fails, lambda: None, lambda _: RunActivity()), tmp_path / "up-health.json")
    dog.started("server")
    dog.start()
    try:
        wait_until(lambda: len(rounds) > 1)
        assert [event.text for event in dog.drain_events() if isinstance(event, TerminalLine)] == [
            "The watchdog itself failed (ZeroDivisionError); please report it."
        ]
    finally:
        dog.stop()
