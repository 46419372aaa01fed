"""The clock of a machine is set while `up` runs: two hours ahead, back again, and back by ten minutes.

`up` reports it within two minutes, and each source is read again as its next tick comes. Nothing is lost or twice, and
what a person is shown is as true as before. The servers of 1Password and of the SIEM keep their own clocks.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support import siem_targets
from support.one_machine import wait_until
from support.up_process import Up, sources
from torture.machine_clock import MachineClock
from torture.outcome import health_of, opened, stored

from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.outcome import Row

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.torture, pytest.mark.prefect]

COUNT = 4
SIEM = "soc"
REPORTED_SECONDS = 120.0
AGAIN_SECONDS = 420.0
"""A tick, and the time in which a restarted server schedules runs again."""
SLOW = 3.0  # a machine under other loads
TIMES = "SELECT drained_ns, progress_ns, state_ns FROM streams JOIN sources ON sources.id = source_id"
CLAIMED = "SELECT count(*) FROM streams WHERE holder IS NOT NULL"


@dataclass
class Place:
    """An `up` whose clock can be set, with a 1Password and a SIEM whose clocks cannot."""

    up: Up
    clock: MachineClock
    sandbox: SandboxProcess
    siem: Any

    @property
    def url(self) -> str:
        return f"sqlite:///{self.up.data / 'events.db'}"

    @property
    def names(self) -> list[str]:
        return [f"source-{number:03}" for number in range(COUNT)]

    def rows(self, statement: str) -> list[Any]:
        with opened(self.url) as engine, engine.connect() as connection:
            return list(connection.execute(text(statement)))

    def is_read_since(self, since: float) -> bool:
        """True if each API of each source was read to its end after `since`, and none has a time in the future."""
        until = self.clock.now() + 1
        read = [(row.drained_ns or 0) / 1e9 for row in self.rows(TIMES)]
        return len(read) == COUNT * len(Api) and all(since < one <= until for one in read)

    def is_well(self) -> bool:
        health = self.up.data / "up-health.json"
        return health.exists() and bool(json.loads(health.read_text())["healthy"])

    def status(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.up.call("status", "--json"))
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("clock")
    clock = MachineClock.made(directory / "clock")
    up = Up(directory, dict(clock.env))
    up.data.mkdir(mode=0o700)
    with (
        running_sandbox(events=600, days=1, rate=20) as sandbox,
        siem_targets.running("sumo-logic", directory) as siem,
    ):
        made = Place(up, clock, sandbox, siem)
        try:
            up.start()
            _configure(made)
            wait_until(lambda: made.is_read_since(0), AGAIN_SECONDS * SLOW)
            yield made
        finally:
            up.stop()


def _configure(place: Place) -> None:
    document = sources(place.sandbox, COUNT)
    for entry in document["sources"]:
        entry["config"]["fields"] = {"_siemForward": True}
    place.up.apply("sources", document)
    siem = {"name": SIEM, "type": place.siem.kind, "sources": [place.names[0]], "config": place.siem.config}
    place.up.apply("siems", {"siems": [siem]})


@pytest.mark.parametrize(
    ("by", "says"),
    [(7200, "The clock jumped 2 h ahead"), (-7200, "The clock was set back by 2 h"), (-600, "set back by 10 min")],
    ids=["2 h ahead", "2 h back", "10 min back"],
)
def test_the_clock_is_set(place: Place, row: Row, by: int, says: str) -> None:
    row.fault = f"the clock is set {abs(by) // 60} min {'ahead' if by > 0 else 'back'}"
    wait_until(place.is_well, AGAIN_SECONDS * SLOW)
    before, begun = len(place.up.output), time.time()
    place.clock.set(place.clock.moved + by)
    since = place.clock.now()
    wait_until(lambda: says in place.up.output[before:], REPORTED_SECONDS * SLOW)
    reported = time.time() - begun
    wait_until(lambda: place.is_read_since(since), AGAIN_SECONDS * SLOW)
    again = time.time() - begun
    wait_until(place.is_well, AGAIN_SECONDS * SLOW)
    row.times, row.seconds = 1, again
    row.notes = [f"on the terminal after {reported:.0f} s, each source read again after {again:.0f} s"]
    _what_is_shown_is_true(place)


def test_a_clock_that_is_set_back_while_runs_wait_for_their_next_attempt(place: Place, row: Row) -> None:
    """Their claims and the start of their failure are in the future then."""
    row.fault = "the clock is set back while runs wait"
    wait_until(place.is_well, AGAIN_SECONDS * SLOW)
    place.sandbox.fault("500")
    wait_until(lambda: place.rows(CLAIMED)[0][0] > 0, AGAIN_SECONDS * SLOW)
    begun = time.time()
    place.clock.set(place.clock.moved - 7200)
    since = place.clock.now()
    place.sandbox.clear_faults()
    wait_until(lambda: place.is_read_since(since), AGAIN_SECONDS * SLOW)
    row.times, row.seconds = 1, time.time() - begun
    wait_until(place.is_well, AGAIN_SECONDS * SLOW)
    _what_is_shown_is_true(place)


def test_after_all_that_nothing_is_lost_and_nothing_twice(place: Place, row: Row) -> None:
    row.compare_while_events_arrive(place.url, place.sandbox, place.names, lambda name: place.up.call("collect", name))
    collected = {uuid for _, uuid, _ in stored(place.url, place.names[0]).rows}
    place.up.call("siem", "run", SIEM)
    arrived = place.siem.arrived()
    assert collected - set(arrived) == set(), "the SIEM has them all"
    begun = {name for source in place.names for name in health_of(place.url, source)}
    # The clock was ahead for a while: what was received then lies in the future once it is back.
    assert begun <= {"Recovered", "Lag", "ThirdPartyGenericError", "EventsInFuture"}, "no source has stopped running"
    # A batch that is on its way when the clock goes ahead of its claim's end is sent by the next run, too.
    row.notes = [f"{len(arrived):,} events in the SIEM, {arrived.total() - len(arrived):,} of them sent again"]


def _what_is_shown_is_true(place: Place) -> None:
    for source in place.status():
        assert source["health"] == "healthy", source
        lags = [api["collector_lag_seconds"] for api in source["apis"]]
        assert all(0 <= lag < AGAIN_SECONDS * SLOW for lag in lags), source
