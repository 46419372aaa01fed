"""One attempt at one stream, without Prefect: what is sent, in which batches, and how far the position has come."""

from __future__ import annotations

import itertools
import resource
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.forwarding import BUSY, FakeSender, Pair, accept_all, chunks, failing, once_all_begun

from blocks.errors import ClaimLostError, FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import ACCEPTED, BatchResult, Limits, RejectedRecord
from blocks.store.forwarding import forward_pairs, positions, rejected_events, replay
from tasks.support import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from blocks.siem.delivery.protocol import Batch


@pytest.fixture
def request_stop() -> Iterator[Callable[[], None]]:
    yield stopping.requested.set
    stopping.requested.clear()


def test_all_that_is_behind_the_position_is_sent_in_batches(pair: Pair) -> None:
    sender = FakeSender()
    done = pair.forward(sender)
    assert sender.ids == chunks(pair.ids(), 10)
    assert (done.api, done.sent, done.filtered, done.rejected) == (Api.AUDIT, 35, 0, 0)
    assert (pair.view().acknowledged_id, pair.view().in_flight, pair.view().claim_expires_ns) == (
        pair.ids()[-1],
        (),
        None,
    )
    assert pair.forward(FakeSender()).sent == 0


def test_what_comes_while_it_sends_is_sent_too(pair: Pair) -> None:
    def answer(batch: Batch) -> BatchResult:
        if batch.records[0].event.id == pair.ids()[0]:
            pair.filled.commit(Api.AUDIT, 7)
        return ACCEPTED

    sender = FakeSender(answer)
    assert pair.forward(sender).sent == 42
    assert sorted(sender.accepted) == pair.ids()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_position_stays_before_what_was_not_taken(pair: Pair, place: int) -> None:
    sender = FakeSender(failing(place, of=pair), Limits(events=10, parallel=4))
    with pytest.raises(ThirdPartyGenericError, match="503"):
        pair.forward(sender)
    batches = chunks(pair.ids(), 10)
    assert pair.view().acknowledged_id == (batches[place - 1][-1] if place else 0)
    assert list(pair.view().in_flight) == [batch[-1] for batch in batches[place:]]


def test_the_next_attempt_begins_with_what_failed_alone_and_all_batches_are_the_same(pair: Pair) -> None:
    """Though what was sent behind it failed as well, and more has come since."""
    first, second, third = (FakeSender(failing(0, of=pair), Limits(events=10, parallel=4)) for _ in range(3))
    first.answer = once_all_begun(failing(0, 1, 2, 3, of=pair))
    claim = pair.claim()
    for sender in (first, second):
        with pytest.raises(ThirdPartyGenericError) as raised:
            pair.forward(sender, claim=claim)
        positions.record_failure(pair.engine, claim, raised.value)
        pair.filled.commit(Api.AUDIT, 5)
    assert second.ids == [chunks(pair.ids(), 10)[0]]
    third.answer = lambda _: ACCEPTED
    assert pair.forward(third, claim=claim).sent == 45
    assert set(first.names) <= set(third.names), "the last one of those ends where it ended, though more has come"
    assert sorted(third.accepted) == pair.ids()


def test_batches_acknowledged_after_one_that_failed_are_not_sent_again(pair: Pair) -> None:
    batches, limits = chunks(pair.ids(), 10), Limits(events=10, parallel=4)
    busy = failing(0, 2, of=pair)
    rejected_id = batches[3][1]

    def answer(batch: Batch) -> BatchResult:
        busy(batch)
        return (
            BatchResult(rejected=(RejectedRecord(1, "400", "no"),))
            if batch.records[0].event.id == batches[3][0]
            else ACCEPTED
        )

    with pytest.raises(ThirdPartyGenericError):
        pair.forward(first := FakeSender(once_all_begun(answer), limits))
    assert sorted(first.accepted) == sorted({*batches[1], *batches[3]} - {rejected_id})
    assert pair.view().ahead == {batches[1][-1]: (10, 0), batches[3][-1]: (4, 0)}
    with pytest.raises(ThirdPartyGenericError):  # the first one is taken now, the third one still is not
        pair.forward(second := FakeSender(failing(2, of=pair), limits))
    assert sorted(second.ids) == [batches[0], batches[2]]
    assert pair.view().acknowledged_id == batches[1][-1]
    done = pair.forward(third := FakeSender(limits=limits))
    assert third.ids == [batches[2]]
    assert (done.sent, pair.view().acknowledged_id, pair.view().ahead) == (14, pair.ids()[-1], {})
    assert [one.event_id for one in rejected_events.list_page(pair.engine, pair.record.id)] == [rejected_id]
    assert pair.filled.ask("SELECT sum(sent), sum(rejected) FROM positions") == [(34, 1)]


def test_a_step_that_the_store_does_not_take_costs_no_copies_and_passes_nothing_over(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SIEM has acknowledged all four batches when the step over the first one fails: all of them are ahead."""
    limits = Limits(events=10, parallel=4)
    real, steps = positions.advance, itertools.count()

    def fails_once(*arguments: Any) -> None:
        if next(steps) == 1:
            raise FirstPartyGenericError("The store did not answer.")
        real(*arguments)

    monkeypatch.setattr(positions, "advance", fails_once)
    with pytest.raises(FirstPartyGenericError):
        pair.forward(first := FakeSender(once_all_begun(accept_all), limits))
    assert sorted(first.accepted) == pair.ids()
    assert (pair.view().acknowledged_id, set(pair.view().ahead)) == (0, {one[-1] for one in chunks(pair.ids(), 10)})
    pair.filled.commit(Api.AUDIT, 3)
    pair.forward(second := FakeSender(limits=limits))
    assert second.ids == [pair.ids()[-3:]]
    assert pair.view().acknowledged_id == pair.ids()[-1]


def left_ahead(pair: Pair) -> None:
    """The first of four batches failed, the others were acknowledged."""
    with pytest.raises(ThirdPartyGenericError):
        pair.forward(FakeSender(once_all_begun(failing(0, of=pair)), Limits(events=10, parallel=4)))
    assert len(pair.view().ahead) == 3


def test_what_is_ahead_is_sent_again_where_a_person_wants_it(pair: Pair) -> None:
    left_ahead(pair)
    assert replay.resend_since(pair.engine, pair.record, 0) == 35
    pair.forward(sender := FakeSender())
    assert sorted(sender.accepted) == pair.ids()


def test_another_target_gets_what_the_one_before_had_ahead_in_the_same_batches(pair: Pair) -> None:
    left_ahead(pair)
    before = pair.view()
    forward_pairs.save(
        pair.engine, pair.record.source_id, pair.record.siem, pair.record.kind, {"url": "another"}, "second"
    )
    assert (pair.view().in_flight, pair.view().ahead) == (before.in_flight, {})
    pair.forward(sender := FakeSender())
    assert sender.ids == chunks(pair.ids(), 10)


def test_the_same_target_is_not_forgotten(pair: Pair) -> None:
    left_ahead(pair)
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    pair.forward(sender := FakeSender())
    assert sender.ids == chunks(pair.ids(), 10)[:1]


def test_what_cannot_be_left_is_sent_twice_and_not_lost(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(events=10, parallel=4)

    def not_now(*_: object) -> None:
        raise FirstPartyGenericError("The store did not answer.")

    monkeypatch.setattr(positions, "record_acknowledged_ahead", not_now)
    with pytest.raises(ThirdPartyGenericError, match="503"):
        pair.forward(FakeSender(once_all_begun(failing(0, of=pair)), limits))
    pair.forward(second := FakeSender(limits=limits))
    assert sorted(second.accepted) == pair.ids()


@given(st.lists(st.sets(st.integers(0, 3)), max_size=6), st.integers(1, 4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_without_a_kill_each_event_is_taken_once(
    pair: Pair, busy: list[set[int]], parallel: int
) -> None:
    pair.forward(FakeSender(limits=Limits(events=1000)))
    start = len(pair.ids())
    pair.filled.commit(Api.AUDIT, 38)
    batches = chunks(pair.ids()[start:], 10)
    accepted: Counter[int] = Counter()
    for places in [*busy, set[int]()]:
        closed = {batches[place][0] for place in places}

        def answer(batch: Batch, closed: set[int] = closed) -> BatchResult:
            if batch.records[0].event.id in closed:
                raise BUSY
            return ACCEPTED

        sender = FakeSender(answer, Limits(events=10, parallel=parallel))
        with suppress(ThirdPartyGenericError):
            pair.forward(sender)
        accepted.update(sender.accepted)
    assert accepted == Counter(pair.ids()[start:])


def test_another_process_sends_the_batches_that_were_in_flight_though_more_has_come(pair: Pair) -> None:
    """As after a kill: nothing is known of it but what the store has."""

    class KilledError(BaseException):
        pass

    def answer(_: Batch) -> BatchResult:
        raise KilledError

    killed = FakeSender(answer, Limits(events=10, parallel=4))
    with pytest.raises(KilledError):
        pair.forward(killed)
    pair.filled.commit(Api.AUDIT, 20)
    again = FakeSender(limits=Limits(events=10, parallel=2))
    positions.release(pair.engine, pair.claim())
    pair.forward(again, claim=pair.claim(holder="run-1"))
    assert sorted(again.ids)[:4] == chunks(pair.ids()[:35], 10), "two are sent side by side, in any order"
    assert set(killed.names) <= set(again.names)
    assert sorted(again.accepted) == pair.ids()


def test_a_run_whose_claim_was_taken_sends_no_more(pair: Pair) -> None:
    claim = pair.claim()

    def answer(_: Batch) -> BatchResult:
        forward_pairs.save(pair.engine, pair.record.source_id, pair.record.siem, pair.record.kind, {}, "another")
        return ACCEPTED

    sender = FakeSender(answer)
    with pytest.raises(ClaimLostError):
        pair.forward(sender, claim=claim)
    assert len(sender.batches) == 1
    with pytest.raises(ClaimLostError):
        pair.forward(sender, claim=claim)
    assert len(sender.batches) == 1, "it looks before it sends"
    assert pair.view().acknowledged_id == 0


def test_two_runs_at_once_skip_nothing(pair: Pair) -> None:
    """The second one takes the claim away in the middle, as where the first was suspended for long."""
    second = FakeSender(limits=Limits(events=10, parallel=2))
    inside = threading.Event()

    def answer(batch: Batch) -> BatchResult:
        if not inside.is_set():
            inside.set()
            pair.forward(second, claim=pair.claim(holder="run-1"))
        return ACCEPTED

    first = FakeSender(answer, Limits(events=10, parallel=2))
    with pytest.raises(ClaimLostError):
        pair.forward(first)
    assert sorted(second.accepted) == pair.ids()
    assert pair.view().acknowledged_id == pair.ids()[-1]


def test_a_stop_request_ends_a_run_after_the_batch_in_flight(pair: Pair, request_stop: Callable[[], None]) -> None:
    def answer(_: Batch) -> BatchResult:
        request_stop()
        return ACCEPTED

    assert pair.forward(FakeSender(answer)).sent == 10
    assert pair.view().acknowledged_id == pair.ids()[9]
    assert pair.view().claim_expires_ns is None


def test_a_stop_request_before_the_first_batch_keeps_plan_and_error(
    pair: Pair, request_stop: Callable[[], None]
) -> None:
    claim = pair.claim()
    with pytest.raises(ThirdPartyGenericError):
        pair.forward(FakeSender(failing(0, of=pair)), claim=claim)
    since_ns = positions.record_failure(pair.engine, claim, BUSY)
    before = pair.view()
    request_stop()
    assert pair.forward(FakeSender(), claim=claim).sent == 0
    assert (pair.view().in_flight, pair.view().failing_since_ns) == (before.in_flight, since_ns)
    assert before.in_flight
    assert pair.view().claim_expires_ns is None


ATTEMPTS = st.tuples(st.lists(st.sampled_from("yyyyyyne"), max_size=8), st.booleans(), st.integers(0, 6))
"""The answers to an attempt, whether its failure is recorded, and how many events come after it."""


# All is drawn before the first event: Hypothesis ends an example in the middle of a draw, and what was acknowledged
# ahead by then would be skipped in the next one.
@given(st.lists(ATTEMPTS, max_size=6), st.integers(1, 25), st.integers(1, 4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_the_position_is_after_what_was_accepted_or_rejected(
    pair: Pair, script: list[tuple[list[str], bool, int]], first: int, parallel: int
) -> None:
    """Attempts that fail here and there, with events that come between them; the store is the only memory."""
    start = pair.view().acknowledged_id
    pair.filled.commit(Api.AUDIT, first)
    arrived: set[int] = set()
    rejected_ids: set[int] = set()
    lock = threading.Lock()
    for answers_of_run, is_recorded, later in [*script, ([], False, 3)]:
        answers = iter(answers_of_run)

        def answer(batch: Batch, answers: Iterator[str] = answers) -> BatchResult:
            with lock:
                one = next(answers, "y")
            ids = [record.event.id for record in batch.records]
            if one == "e":
                raise BUSY
            with lock:
                rejected_ids.update(ids[:1] if one == "n" else [])
                arrived.update(ids[1:] if one == "n" else ids)
            return BatchResult((RejectedRecord(0, "400", "no"),)) if one == "n" else ACCEPTED

        claim = pair.claim()
        try:
            pair.forward(FakeSender(answer, Limits(events=4, parallel=parallel)), claim=claim)
        except ThirdPartyGenericError as error:
            if is_recorded:
                positions.record_failure(pair.engine, claim, error)
        end = pair.view().acknowledged_id
        behind = [id_ for id_ in pair.ids() if start < id_ <= end]
        assert set(behind) <= arrived | rejected_ids
        pair.filled.commit(Api.AUDIT, later)
    last = FakeSender()
    pair.forward(last)
    arrived |= set(last.accepted)
    kept = {one.event_id for one in rejected_events.list_page(pair.engine, pair.record.id, size=10_000)}
    assert {id_ for id_ in kept if id_ > start} <= rejected_ids
    assert {id_ for id_ in pair.ids() if id_ > start} == {id_ for id_ in arrived | kept if id_ > start}
    assert pair.view().acknowledged_id == pair.ids()[-1]


def test_memory_stays_as_it_is_however_many_events_there_are(engine: Engine) -> None:
    pair = Pair.create(engine)
    for _ in range(20):
        pair.filled.commit(Api.AUDIT, 1000)
    memory: list[int] = []

    def answer(_: Batch) -> BatchResult:
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        sender.batches.clear()
        return ACCEPTED

    sender = FakeSender(answer, Limits(events=500, parallel=2))
    done = pair.forward(sender)
    assert done.sent == 20_000
    assert memory[-1] - memory[len(memory) // 2] < 8 * 1024, "KiB"


def test_an_error_that_needs_a_person_leaves_as_it_is(pair: Pair) -> None:
    with pytest.raises(ThirdPartyConfigError):
        pair.forward(FakeSender(failing(1, of=pair, error=ThirdPartyConfigError("401"))))
    assert pair.view().acknowledged_id == pair.ids()[9]
