"""Streams of one SIEM, and sources of one account, reported at the same moment: no condition is lost, none stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.at_once import Halt, at_once, meeting
from support.forwarding import SIEM, Pair
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.store import health, sources
from blocks.store.forwarding import positions, rejected_events, replay
from blocks.store.forwarding.positions import BatchOutcome
from blocks.store.forwarding.rejected_events import RejectedEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.forwarding.records import PositionClaim, ReplayBatch

    Rows = Callable[[str], list[tuple[object, ...]]]

FORWARD, REFUSED = f"forward/{SIEM}", f"rejected/{SIEM}"
SHUT = ThirdPartyConfigError("The SIEM refuses the token.", code="403")
BUSY = ThirdPartyGenericError("The SIEM answered 503.", code="503")
LONG = 400 * 10**9  # ns; failing for so long, it is reported


class Two:
    """A pair with claims on two of its streams, each of which another process has."""

    def __init__(self, engines: tuple[Engine, Engine], rows: Rows) -> None:
        self.pair = Pair.create(engines[0])
        for api in (Api.AUDIT, Api.SIGN_IN):
            self.pair.filled.commit(api, 5)
        self.a, self.b = self.pair.claim(Api.AUDIT, "a"), self.pair.claim(Api.SIGN_IN, "b")
        self._engines = {self.a: engines[0], self.b: engines[1]}
        self._rows = rows

    def engine(self, claim: PositionClaim) -> Engine:
        return self._engines[claim]

    def fails(self, claim: PositionClaim, *, long: bool = False) -> None:
        since_ns = clock.now_ns() - LONG if long else None
        positions.record_failure(self.engine(claim), claim, BUSY, since_ns=since_ns)

    def stops(self, claim: PositionClaim) -> None:
        positions.stop(self.engine(claim), claim, SHUT, "first")

    def recovers(self, claim: PositionClaim) -> None:
        positions.finish(self.engine(claim), claim)

    def is_refused(self, claim: PositionClaim) -> None:
        first = self.pair.ids(claim.api)[0]
        step = BatchOutcome(first, first, 0, 0, (RejectedEvent(first, "UUID", "400", "no"),))
        positions.advance(self.engine(claim), claim, step, [])

    def again(self, claim: PositionClaim) -> ReplayBatch:
        (found,) = replay.marked_batches(self.engine(claim), claim, 10)
        return found

    def is_taken(self, claim: PositionClaim, sent: ReplayBatch) -> None:
        step = BatchOutcome(sent.events[0].id, sent.events[-1].id, 1, 0)
        positions.record_replayed(self.engine(claim), claim, sent, step)

    def open(self) -> list[tuple[object, ...]]:
        return self._rows("SELECT tracker, severity FROM conditions ORDER BY tracker")


@pytest.fixture
def two(engines: tuple[Engine, Engine], rows: Rows) -> Two:
    return Two(engines, rows)


def test_one_that_stops_while_another_recovers_is_in_error(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.fails(two.b, long=True)
    monkeypatch.setattr(health, "end", halt := Halt(health.end))
    halt.overtaken(lambda: two.recovers(two.b), by=lambda: two.stops(two.a))
    assert two.open() == [(FORWARD, "Error")]


def test_streams_that_recover_at_once_leave_nothing_open(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for claim in (two.a, two.b):
        two.fails(claim, long=True)
    monkeypatch.setattr(health, "lock", meeting(health.lock))
    at_once(lambda: two.recovers(two.a), lambda: two.recovers(two.b))
    assert two.open() == []


@pytest.mark.parametrize("retries_before", [True, False])
def test_retrying_does_not_hide_that_another_has_stopped(
    two: Two, retries_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if retries_before:
        two.fails(two.a, long=True)
    monkeypatch.setattr(positions, "_has_stopped", halt := Halt(positions._has_stopped, behind=True))
    halt.overtaken(lambda: two.fails(two.b, long=True), by=lambda: two.stops(two.a))
    assert two.open() == [(FORWARD, "Error")]
    assert two.pair.health_events()[-1] == ("ThirdPartyConfigError", "Error", "UnHealthy")


def test_the_last_rejected_events_of_two_streams_that_are_accepted_at_once(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    for claim in (two.a, two.b):
        two.is_refused(claim)
    assert replay.resend_rejected(two.pair.engine, two.pair.record) == 2
    sent = {claim: two.again(claim) for claim in (two.a, two.b)}
    monkeypatch.setattr(rejected_events, "_report", meeting(rejected_events._report))
    at_once(*(lambda claim=claim: two.is_taken(claim, sent[claim]) for claim in (two.a, two.b)))
    assert two.open() == []
    assert two.pair.health_events()[-1] == ("Recovered", "Warning", "Healthy")


def test_an_event_rejected_while_the_last_one_before_is_accepted_is_reported(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.is_refused(two.b)
    assert replay.resend_rejected(two.pair.engine, two.pair.record) == 1
    sent = two.again(two.b)
    monkeypatch.setattr(health, "end", halt := Halt(health.end))
    halt.overtaken(lambda: two.is_taken(two.b, sent), by=lambda: two.is_refused(two.a))
    assert two.open() == [(REFUSED, "Warning")]


def test_sources_that_learn_the_same_account_at_once(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [SOURCE, replace(SOURCE, id="2" * 32, name="another")]
    for one in both:
        sources.save(engines[0], one)
    monkeypatch.setattr(sources, "_report_shared_account", meeting(sources._report_shared_account))

    def introspect(number: int) -> None:
        sources.save_introspection(engines[number], both[number].id, frozenset(), "ACCOUNT")

    at_once(lambda: introspect(0), lambda: introspect(1))
    assert rows("SELECT tracker FROM conditions") == [("shared-account",)]
