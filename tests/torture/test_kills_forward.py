"""SIGKILL of the forwarder and of the receiver while pages arrive: no event is skipped, and few arrive twice."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from receivers.process import ReceiverProcess, running_receiver
from sqlalchemy import text
from support.chains import Filled
from support.one_machine import wait_until
from support.values import SOURCE
from torture.forwarding import LIMITS, SIEM
from torture.outcome import Row, opened
from torture.processes import Fork, Forks
from torture.strike import until

from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.forwarding import forward_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

ON_THEIR_WAY = LIMITS.events * LIMITS.parallel * len(Api)


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks.of("forwarding", tmp_path_factory.mktemp("forwarding"), dict(os.environ)) as made:
        yield made


@dataclass
class Forwarded:
    """A source to which events are added, and the process that forwards them."""

    url: str
    forks: Forks
    receiver: ReceiverProcess
    row: Row
    killed: int = 0

    def start(self) -> Fork:
        return self.forks.call(url=self.url, receiver=self.receiver.url)

    def kill(self, process: Fork, *, siem_was_killed: bool = False) -> None:
        """Kill the forwarder. If it had ended, it was done, or its SIEM did not answer: it has no retries here."""
        if process.kill():
            self.killed += 1
            return
        ends = ("ok", "ThirdPartyGenericError") if siem_was_killed else ("ok",)
        results = process.wait()
        assert all(result.startswith(ends) for result in results.values()), results

    def wait_for_more(self, process: Fork) -> None:
        """Wait until the forwarder has sent events, or has ended."""
        before = self.receiver.counts()["events"]
        wait_until(lambda: self.receiver.counts()["events"] > before or process.ended())

    def check(self) -> None:
        """Forward to the end. Then all events have arrived, and few twice: those in flight at a kill at most."""
        assert all(said.startswith("ok") for said in self.start().wait().values())
        with opened(self.url) as engine, engine.connect() as connection:
            stored = set(connection.execute(text("SELECT uuid FROM events")).scalars())
        arrived = self.receiver.arrived()
        self.row.times, self.row.events = self.killed, len(stored)
        self.row.lost = len(stored - set(arrived))
        self.row.twice = sum(arrived.values()) - len(arrived)
        assert (self.row.lost, len(set(arrived) - stored)) == (0, 0)
        assert self.row.twice <= self.killed * ON_THEIR_WAY


@pytest.fixture
def forwarded(store_url: str, forks: Forks, row: Row, tmp_path: Path) -> Iterator[Forwarded]:
    with opened(store_url) as engine:
        sources.save(engine, SOURCE)
        forward_pairs.save(engine, SOURCE.id, SIEM, "sumo-logic", {}, "first")
    with running_receiver("sumo_logic", tmp_path / "arrived") as receiver:
        receiver.behave("slow", None, seconds=0.01)
        yield Forwarded(store_url, forks, receiver, row)


@contextmanager
def committing(url: str, pages: int) -> Iterator[threading.Thread]:
    """In the `with` block, pages are committed to all streams, up to a number."""
    enough = threading.Event()
    with opened(url) as engine:
        filled = _begun(engine)

        def commit() -> None:
            for number in range(pages):
                for api in Api:
                    filled.commit(api, 5 + number % 60)
                if enough.wait(0.01):
                    return

        thread = threading.Thread(target=commit)
        thread.start()
        try:
            yield thread
        finally:
            enough.set()
            thread.join()


def _begun(engine: Engine) -> Filled:
    filled = Filled(engine)
    for api in Api:
        filled.commit(api, 500)
    return filled


def strike(forwarded: Forwarded, kills: int, *, receiver_too: bool = False) -> None:
    chance = forwarded.row.chance()
    with committing(forwarded.url, 40 * kills):
        for number in range(kills):
            process = forwarded.start()
            forwarded.wait_for_more(process)
            until(chance.uniform(0, 0.3))
            siem_killed = receiver_too and number % 2 == 1
            if siem_killed:
                forwarded.receiver.kill()
                forwarded.killed += 1
                until(chance.uniform(0, 0.3))
                forwarded.receiver.start()
                forwarded.receiver.behave("slow", None, seconds=0.01)
            forwarded.kill(process, siem_was_killed=siem_killed)
    forwarded.receiver.clear()
    forwarded.check()


@pytest.mark.processes
def test_a_forwarder_that_is_killed_skips_nothing(forwarded: Forwarded) -> None:
    strike(forwarded, 3)


@pytest.mark.torture
def test_a_forwarder_that_is_killed_twenty_times(forwarded: Forwarded) -> None:
    strike(forwarded, 20)
    assert forwarded.killed


@pytest.mark.torture
def test_a_forwarder_and_its_siem_that_are_killed_in_turns(forwarded: Forwarded) -> None:
    strike(forwarded, 20, receiver_too=True)
