"""A position moves under a claim, after what the SIEM has acknowledged; its errors are reported once for each pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import SIEM, Pair
from support.values import SOURCE

from blocks.errors import ClaimLostError, SourceError, ThirdPartyConfigError, ThirdPartyGenericError, UnexpectedError
from blocks.events_api.models import Api
from blocks.store import health
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.forwarding import forward_pairs, forward_status, positions, replay
from blocks.store.forwarding.positions import (
    BatchOutcome,
    acquire,
    advance,
    finish,
    record_failure,
    release,
    renew,
    stop,
)
from blocks.store.forwarding.rejected_events import RejectedEvent
from blocks.store.streams import REPORTED_AFTER_NS

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.forwarding.records import PositionClaim

MINUTE_NS = 60 * 10**9
BUSY = ThirdPartyGenericError("The SIEM answered 503.", hint="It is sent again.", code="503")
SHUT = ThirdPartyConfigError("The SIEM refuses the token (401).", hint="Store it again.", code="401")


@pytest.fixture
def pair(engine: Engine) -> Pair:
    return Pair.create(engine)


def step(last_id: int, *rejected: int, first_id: int = 1, sent: int = 1) -> BatchOutcome:
    return BatchOutcome(
        first_id, last_id, sent, 0, tuple(RejectedEvent(id_, f"U{id_}", "400", "no") for id_ in rejected)
    )


def fail_for(pair: Pair, claim: PositionClaim, moving: MovingClock) -> None:
    """Until it is reported."""
    record_failure(pair.engine, claim, BUSY)
    moving.advance(REPORTED_AFTER_NS / 1e9)
    record_failure(pair.engine, claim, BUSY)


def test_a_new_pair_begins_before_the_first_event(pair: Pair) -> None:
    found = positions.of_pair(pair.engine, pair.record.id)
    assert sorted(view.api for view in found) == sorted(Api)
    assert {(view.acknowledged_id, view.in_flight, view.replays) for view in found} == {(0, (), 0)}


def test_one_run_has_it_until_its_claim_lapses(pair: Pair, moving: MovingClock) -> None:
    claim = pair.claim()
    assert acquire(pair.engine, pair.view(), "run-2") is None
    moving.advance(CLAIM_NS / 1e9 + 1)
    other = acquire(pair.engine, pair.view(), "run-2")
    assert other
    for write in (
        lambda: advance(pair.engine, claim, step(9), []),
        lambda: advance(pair.engine, claim, None, [9]),
        lambda: renew(pair.engine, claim),
        lambda: finish(pair.engine, claim),
        lambda: record_failure(pair.engine, claim, BUSY),
        lambda: stop(pair.engine, claim, SHUT, "first"),
    ):
        with pytest.raises(ClaimLostError):
            write()
    release(pair.engine, claim)
    assert (pair.view().acknowledged_id, pair.view().in_flight, pair.view().failing_since_ns) == (0, (), None)
    renew(pair.engine, other)
    assert acquire(pair.engine, pair.view(), "run-3") is None


def test_what_a_run_releases_the_next_one_claims(pair: Pair) -> None:
    release(pair.engine, pair.claim())
    finish(pair.engine, pair.claim(holder="run-2"))
    assert pair.claim(holder="run-3")


def test_a_wait_keeps_the_claim(pair: Pair, moving: MovingClock) -> None:
    claim = pair.claim()
    renew(pair.engine, claim, for_seconds=1000)
    moving.advance(1000 + CLAIM_NS / 1e9 - 1)
    assert acquire(pair.engine, pair.view(), "run-2") is None


def test_the_clock_set_back_frees_it(pair: Pair, moving: MovingClock) -> None:
    pair.claim()
    moving.advance(-7200)
    assert acquire(pair.engine, pair.view(), "run-2")


def test_it_moves_with_the_counts_and_the_plan(pair: Pair) -> None:
    claim = pair.claim()
    advance(pair.engine, claim, None, [5, 9])
    assert (pair.view().acknowledged_id, pair.view().in_flight) == (0, (5, 9))
    advance(pair.engine, claim, BatchOutcome(1, 5, 3, 2), [9, 12])
    assert (pair.view().acknowledged_id, pair.view().in_flight) == (5, (9, 12))
    assert pair.filled.ask(f"SELECT sent, filtered, rejected FROM positions WHERE acknowledged_id = {5}") == [(3, 2, 0)]


def test_what_is_planned_stays_when_a_run_releases_and_ends_when_one_finishes(pair: Pair) -> None:
    claim = pair.claim()
    advance(pair.engine, claim, None, [5, 9])
    release(pair.engine, claim)
    assert pair.view().in_flight == (5, 9)
    finish(pair.engine, pair.claim())
    assert pair.view().in_flight == ()


@pytest.mark.parametrize("taking_away", ["resume", "remove", "replay", "configuration"])
def test_what_a_person_does_takes_the_claim_away(pair: Pair, taking_away: str) -> None:
    pair.filled.commit(Api.AUDIT, 3)
    claim = pair.claim()
    advance(pair.engine, claim, step(pair.ids()[0]), [pair.ids()[1]])
    if taking_away == "resume":
        record_failure(pair.engine, claim, BUSY)  # it waits for its next attempt
        forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    elif taking_away == "remove":
        forward_pairs.remove(pair.engine, pair.record)
    elif taking_away == "replay":
        replay.resend_since(pair.engine, pair.record, 0)
    else:
        forward_pairs.save(pair.engine, SOURCE.id, SIEM, "webhook", {}, "second")
    with pytest.raises(ClaimLostError):
        advance(pair.engine, claim, step(pair.ids()[1]), [])
    if taking_away in {"resume", "configuration"}:
        assert (pair.view().acknowledged_id, pair.view().in_flight) == (pair.ids()[0], (pair.ids()[1],)), (
            "the next run goes on"
        )


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_or_its_end_leaves_the_claim_of_one_that_sends_well(pair: Pair, paused: bool) -> None:
    pair.filled.commit(Api.AUDIT, 3)
    claim = pair.claim()
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    forward_pairs.set_paused(pair.engine, pair.record, paused=paused)
    advance(pair.engine, claim, step(pair.ids()[0]), [])
    assert pair.view().acknowledged_id == pair.ids()[0]


def test_the_same_configuration_takes_nothing_away(pair: Pair) -> None:
    claim = pair.claim()
    assert forward_pairs.save(pair.engine, SOURCE.id, SIEM, "webhook", {}, "first")[1] is False
    renew(pair.engine, claim)


# Errors, and how they are reported


def test_an_error_is_reported_once_it_lasts_and_once_for_all_apis(pair: Pair, moving: MovingClock) -> None:
    claims = {api: pair.claim(api) for api in Api}
    for claim in claims.values():
        record_failure(pair.engine, claim, BUSY)
    assert pair.health_events() == []
    moving.advance(REPORTED_AFTER_NS / 1e9)
    for claim in claims.values():
        record_failure(pair.engine, claim, BUSY)
    assert pair.health_events() == [("ThirdPartyGenericError", "Warning", "UnHealthy")]
    for claim in claims.values():
        advance(pair.engine, claim, step(1), [])
    assert pair.health_events()[1:] == [("Recovered", "Warning", "Healthy")]


def test_all_apis_that_give_up_after_each_other_are_one_error(pair: Pair, moving: MovingClock) -> None:
    """Each notes its failure before it stops, and that must not report a warning between two errors."""
    claims = {api: pair.claim(api) for api in Api}
    for claim in claims.values():
        fail_for(pair, claim, moving)
    for claim in claims.values():
        record_failure(pair.engine, claim, BUSY)
        stop(pair.engine, claim, BUSY, "first")
    assert pair.health_events() == [
        ("ThirdPartyGenericError", "Warning", "UnHealthy"),
        ("ThirdPartyGenericError", "Error", "UnHealthy"),
    ]
    assert {pair.view(api).stopped_fingerprint for api in Api} == {"first"}


def test_it_is_over_when_no_api_has_one(pair: Pair, moving: MovingClock) -> None:
    audit, sign_in = pair.claim(), pair.claim(Api.SIGN_IN)
    stop(pair.engine, audit, SHUT, "first")
    finish(pair.engine, sign_in)
    assert pair.health_events() == [("ThirdPartyConfigError", "Error", "UnHealthy")]
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    assert pair.view().stopped_fingerprint is None
    finish(pair.engine, pair.claim())
    assert pair.health_events()[1:] == [("Recovered", "Error", "Healthy")]


def test_the_time_of_the_first_failure_is_kept_until_there_is_progress(pair: Pair, moving: MovingClock) -> None:
    claim = pair.claim()
    first_ns = record_failure(pair.engine, claim, BUSY)
    moving.advance(60)
    assert record_failure(pair.engine, claim, BUSY) == first_ns
    advance(pair.engine, claim, None, [9])
    assert pair.view().failing_since_ns == first_ns, "nothing was taken yet"
    advance(pair.engine, claim, step(9), [])
    assert pair.view().failing_since_ns is None
    assert record_failure(pair.engine, claim, BUSY, since_ns=first_ns) == first_ns, "one that only this run knows"


def test_attempts_are_counted_across_runs_until_there_is_progress(pair: Pair, moving: MovingClock) -> None:
    def found() -> tuple[int, int | None, int | None]:
        (one,) = [one for one in forward_status.pairs(pair.engine)[0].positions if one.api == Api.AUDIT]
        return one.failed_attempts, one.error_ns, one.retries_ns

    first = pair.claim()
    record_failure(pair.engine, first, BUSY)
    moving.advance(60)
    second = pair.claim(holder=first.holder)
    record_failure(pair.engine, second, BUSY, unconfirmed=True)
    renew(pair.engine, second, for_seconds=90)
    assert found() == (2, moving.now_ns(), moving.now_ns() + 90 * 10**9)
    assert positions.count_unconfirmed(pair.engine, second) == 1
    moving.advance(90)
    assert found()[2] is None, "it is due"
    stop(pair.engine, second, BUSY, "first", noted=True)
    assert found()[::2] == (2, None)
    third = pair.claim()
    advance(pair.engine, third, step(9), [])
    assert found() == (0, None, None)
    assert positions.count_unconfirmed(pair.engine, third) == 0


@pytest.mark.parametrize(
    ("error", "fingerprint", "noted", "message"),
    [
        (SHUT, "first", False, "Store it again. `onepassword-source siem test soc` tries it; "),
        (BUSY, "first", True, "It was tried for 90 minutes. `onepassword-source siem test soc` tries it; "),
        (UnexpectedError("x", hint="The next run tries again."), None, False, "The next run tries again."),
    ],
)
def test_what_stops_a_pair_is_reported_with_the_commands_that_help(
    pair: Pair, error: SourceError, fingerprint: str | None, noted: bool, message: str
) -> None:
    stop(pair.engine, pair.claim(), error, fingerprint, noted=noted)
    (event,) = health.unpublished(pair.engine, SOURCE.id)
    assert event.hint == (
        message if fingerprint is None else f"{message}`onepassword-source siem resume soc` sends again."
    )


# Errors before anything is sent

MISSING = ThirdPartyConfigError("There is no block.", hint="Give it again.", code="no-block")


def test_a_first_failure_that_lies_ahead_since_the_clock_was_set_back_is_now(pair: Pair, moving: MovingClock) -> None:
    claim = pair.claim()
    record_failure(pair.engine, claim, BUSY)
    moving.advance(-7200)
    assert record_failure(pair.engine, claim, BUSY) == moving.now_ns()


def test_a_pair_that_cannot_be_opened_is_in_error_until_it_can(pair: Pair, moving: MovingClock) -> None:
    pair.filled.change("DELETE FROM positions WHERE stream_id = {audit}")
    stop(pair.engine, pair.claim(Api.SIGN_IN), SHUT, "first")
    moving.advance(60)
    for _ in range(2):
        positions.record_pair_failure(pair.engine, pair.record.id, MISSING)
    views = positions.of_pair(pair.engine, pair.record.id)
    assert {(one.error_type, one.error_code, one.error_message) for one in views} == {
        ("ThirdPartyConfigError", "no-block", str(MISSING))
    }
    assert {one.failing_since_ns for one in views} == {moving.now_ns(), moving.now_ns() - MINUTE_NS}
    assert pair.health_events() == [("ThirdPartyConfigError", "Error", "UnHealthy")]
    assert {one.stopped_fingerprint for one in views} == {None}, "the next run tries again"
    for api in Api:
        finish(pair.engine, pair.claim(api))
    assert pair.health_events()[1:] == [("Recovered", "Error", "Healthy")]
    assert {one.failing_since_ns for one in positions.of_pair(pair.engine, pair.record.id)} == {None}


def test_a_pair_that_was_removed_meanwhile_has_no_error(pair: Pair) -> None:
    forward_pairs.remove(pair.engine, pair.record)
    positions.record_pair_failure(pair.engine, pair.record.id, MISSING)
    assert pair.health_events() == []
    assert pair.filled.ask("SELECT count(*) FROM positions") == [(0,)]


def test_what_was_paused_or_deleted_since_it_was_read_is_not_claimed(pair: Pair) -> None:
    view = pair.view()
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    assert acquire(pair.engine, view, "run-1") is None
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    assert acquire(pair.engine, view, "run-1")
    pair.filled.change("UPDATE sources SET deleted_ns = 1")
    assert acquire(pair.engine, view, "run-1") is None


# Rejected events


def test_rejected_events_are_kept_and_reported_once_until_none_is_left(pair: Pair) -> None:
    claim = pair.claim()
    advance(pair.engine, claim, step(5, 2, 4), [])
    advance(pair.engine, claim, step(9, 8, first_id=6), [])
    query = "SELECT event_id, uuid, code, answer FROM rejected_events ORDER BY event_id"
    assert pair.filled.ask(query) == [(2, "U2", "400", "no"), (4, "U4", "400", "no"), (8, "U8", "400", "no")]
    assert pair.health_events() == [("EventsRejected", "Warning", "UnHealthy")]
    assert pair.filled.ask("SELECT max(rejected) FROM positions") == [(3,)]
    advance(pair.engine, claim, step(5, 4), [])  # as after a replay
    assert [row[0] for row in pair.filled.ask(query)] == [4, 8]
    assert len(pair.health_events()) == 1
    advance(pair.engine, claim, step(9), [])
    assert pair.filled.ask(query) == []
    assert pair.health_events()[1:] == [("Recovered", "Warning", "Healthy")]
    assert pair.filled.ask("SELECT max(rejected) FROM positions") == [(0,)]


def test_those_of_another_stream_and_another_forward_stay(pair: Pair) -> None:
    other, _ = forward_pairs.save(pair.engine, SOURCE.id, "other", "webhook", {}, "first")
    elsewhere = Pair(pair.engine, other, pair.filled)
    for of, api in ((pair, Api.AUDIT), (pair, Api.SIGN_IN), (elsewhere, Api.AUDIT)):
        advance(pair.engine, of.claim(api), step(5, 2), [])
    advance(pair.engine, pair.claim(), step(5), [])
    assert pair.filled.ask("SELECT count(*) FROM rejected_events") == [(2,)]
    assert set(health.open_conditions(pair.engine, SOURCE.id)) == {"rejected/soc", "rejected/other"}
