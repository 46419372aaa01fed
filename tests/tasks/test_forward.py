"""One attempt at one stream, without Prefect: what is sent, in which batches, and how far the position has come."""

from __future__ import annotations

import itertools
import resource
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.forwarding import FakeSender, Pair, accept_all, chunks, preparer
from support.values import SOURCE

from blocks.config.name_file import NamedObject
from blocks.errors import (
    ClaimLostError,
    FirstPartyGenericError,
    SourceError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
)
from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.siem.delivery.protocol import (
    ACCEPTED,
    BatchResult,
    Limits,
    NoConfirmationError,
    RejectedRecord,
    RequestRejectedError,
)
from blocks.siem.privacy.rules import parse
from blocks.siem.webhook.block import Webhook
from blocks.store import names, sources
from blocks.store.forwarding import forward_pairs, forward_status, positions, rejected_events, replay
from tasks import attempts
from tasks.forward import REPEAT_POLICY, UNCONFIRMED_MAX, ForwardingCheck, PositionRecord, StreamForwarder
from tasks.support import stopping
from tasks.support.siem import make_preparer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from blocks.siem.delivery.protocol import Batch
    from blocks.store.forwarding.records import PositionClaim

BUSY = ThirdPartyGenericError("The SIEM answered 503.", code="503")


@pytest.fixture
def pair(engine: Engine, made_once: Callable[[str, Callable[[Engine], Pair]], Pair]) -> Pair:
    """35 events of audit among those of others."""

    def make(engine: Engine) -> Pair:
        new_pair = Pair.create(engine)
        for number in (10, 3, 12, 10):
            new_pair.filled.commit(Api.SIGN_IN, 2)
            new_pair.filled.commit(Api.AUDIT, number)
        return new_pair

    made = made_once("pair", make)
    return Pair(engine, made.record, made.filled.of(engine))


@pytest.fixture
def request_stop() -> Iterator[Callable[[], None]]:
    yield stopping.requested.set
    stopping.requested.clear()


def failing(*places: int, of: Pair, error: SourceError = BUSY) -> Callable[[Batch], BatchResult]:
    """Fails for batches in these places, of ten events each."""
    batches = chunks(of.ids(), 10)

    def answer(batch: Batch) -> BatchResult:
        if any(batch.records[0].event.id in batches[place] for place in places if place < len(batches)):
            raise error
        return ACCEPTED

    return answer


def once_all_begun(answer: Callable[[Batch], BatchResult], number: int = 4) -> Callable[[Batch], BatchResult]:
    """The same, once so many batches are on their way."""
    all_begun = threading.Barrier(number, timeout=60)

    def wait(batch: Batch) -> BatchResult:
        all_begun.wait()
        return answer(batch)

    return wait


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


def test_rejected_events_are_kept_and_the_position_moves(pair: Pair) -> None:
    sender = FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(2, "400", "no"),)))
    done = pair.forward(sender, rules=parse([{"drop": {"api": ["sign-in"]}}], ""))
    assert (done.sent, done.rejected) == (31, 4)
    assert pair.view().acknowledged_id == pair.ids()[-1]
    assert [one.event_id for one in rejected_events.list_page(pair.engine, pair.record.id)] == [
        ids[2] for ids in sender.ids
    ]


def test_rejected_events_are_sent_again_after_what_is_new_and_by_another_name(pair: Pair) -> None:
    first = FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"), RejectedRecord(4, "400", "no"))))
    pair.forward(first)
    pair.filled.commit(Api.AUDIT, 3)
    assert replay.resend_rejected(pair.engine, pair.record) == 8
    second = FakeSender(limits=Limits(events=3, parallel=1))
    done = pair.forward(second)
    rejected_ids = sorted({ids[place] for ids in first.ids for place in (0, 4)})
    assert second.ids == [pair.ids()[-3:], *chunks(rejected_ids, 3)]
    assert not set(first.names) & set(second.names)
    assert (done.sent, rejected_events.list_page(pair.engine, pair.record.id)) == (11, [])
    assert pair.health_events() == [("EventsRejected", "Warning", "UnHealthy"), ("Recovered", "Warning", "Healthy")]


def test_what_a_siem_cannot_use_when_it_is_sent_again_is_rejected_again_and_stops_nothing(pair: Pair) -> None:
    pair.forward(FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"),)), Limits(events=1000)))
    replay.resend_rejected(pair.engine, pair.record)

    def unusable(_batch: Batch) -> BatchResult:
        raise RequestRejectedError("It cannot use it (400).", code="400")

    done = pair.forward(FakeSender(unusable))
    (remaining,) = rejected_events.list_page(pair.engine, pair.record.id)
    assert (done.sent, remaining.answer, remaining.replay_ns) == (0, "It cannot use it (400).", None)
    assert pair.view().failing_since_ns is None


def test_events_wait_once_forwarding_is_disabled(pair: Pair) -> None:
    sender, is_enabled = FakeSender(), iter((True, True, False))
    forwarding = StreamForwarder(pair.engine, pair.claim(), preparer(sender), lambda: next(is_enabled, False))
    forwarding.forward()
    sent = sorted(sender.accepted)
    assert sent == pair.ids()[: len(sent)]
    assert 0 < len(sent) < len(pair.ids())
    assert pair.view().acknowledged_id == sent[-1]
    pair.forward(again := FakeSender())
    assert sorted([*sent, *again.accepted]) == pair.ids()


def test_forwarding_is_checked_in_the_store_at_that_moment(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    source_id = pair.record.source_id
    is_enabled, archive = (
        ForwardingCheck(pair.engine, source_id, pair.record.id, is_archive=of) for of in (False, True)
    )
    assert (is_enabled(), archive()) == (True, True)
    pair.filled.change("UPDATE sources SET fields = '{{}}'")
    begun, seconds = time.monotonic(), itertools.count(2, 2)
    monkeypatch.setattr(time, "monotonic", lambda: begun + next(seconds))
    assert (is_enabled(), archive()) == (False, True)
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    assert (is_enabled(), archive()) == (False, False)
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    assert archive() is False, "this run has ended"


FILTERS = [{"name": "all", "filterType": "Exclude", "regexp": ".*"}]


def put_rules(pair: Pair, filters: list[dict[str, str]]) -> None:
    sources.save(pair.engine, replace(SOURCE, fields={"_siemForward": True}, processing_rules={"filters": filters}))


def test_the_processing_rules_of_the_source_keep_events_back_and_it_is_counted(pair: Pair) -> None:
    put_rules(pair, FILTERS)
    real_preparer = make_preparer(
        pair.engine, SOURCE.id, Api.AUDIT, Webhook(url="http://127.0.0.1:9"), sender := FakeSender()
    )
    done = StreamForwarder(pair.engine, pair.claim(), real_preparer).forward()
    assert (done.sent, done.filtered, sender.batches) == (0, len(pair.ids()), [])
    (status,) = forward_status.pairs(pair.engine)
    assert {one.api: one.filtered for one in status.positions}[Api.AUDIT] == len(pair.ids())


def test_a_siem_gets_imported_names_only_if_its_block_asks_for_them(pair: Pair) -> None:
    names.save(pair.engine, [NamedObject("v1", "vault", "Payroll")])
    for block, known in (
        (Webhook(url="http://127.0.0.1:9"), {}),
        (Webhook(url="u", with_names=True), {"v1": "Payroll"}),
    ):
        assert make_preparer(pair.engine, SOURCE.id, Api.AUDIT, block, FakeSender()).names == known


def test_a_run_by_the_rules_of_before_loses_its_claim(pair: Pair) -> None:
    put_rules(pair, [])
    claim = pair.claim()
    put_rules(pair, [])
    positions.renew(pair.engine, claim)
    put_rules(pair, FILTERS)
    with pytest.raises(ClaimLostError):
        pair.forward(sender := FakeSender(), claim=claim)
    assert not sender.batches


def test_rules_that_cannot_be_used_let_nothing_through(pair: Pair) -> None:
    put_rules(pair, [{"name": "all", "filterType": "Exclude", "regexp": "("}])
    with pytest.raises(ConfigurationError, match="regexp"):
        make_preparer(pair.engine, SOURCE.id, Api.AUDIT, Webhook(url="http://127.0.0.1:9"), FakeSender())


def test_a_pause_in_the_middle_of_a_run_costs_no_second_sending(pair: Pair) -> None:
    def answer(_: Batch) -> BatchResult:
        forward_pairs.set_paused(pair.engine, pair.record, paused=True)
        return ACCEPTED

    limits = Limits(events=5, parallel=3)
    first, second = FakeSender(once_all_begun(answer, 3), limits), FakeSender(limits=limits)

    def is_enabled() -> bool:
        return not forward_pairs.is_paused(pair.engine, pair.record.id)

    StreamForwarder(pair.engine, pair.claim(), preparer(first), is_enabled).forward()
    assert len(first.ids) == 3
    assert positions.acquire(pair.engine, pair.view(), "run-1") is None
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    pair.forward(second, claim=pair.claim(holder="run-1"))
    assert sorted([*first.accepted, *second.accepted]) == pair.ids()


def test_what_is_sent_again_a_second_time_has_another_name(pair: Pair) -> None:
    names: list[str] = []
    for _ in range(3):
        sender = FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"),)), Limits(events=100))
        pair.forward(sender)
        names += sender.names
        replay.resend_rejected(pair.engine, pair.record)
    assert len(set(names)) == 3


def test_what_is_not_marked_stays_rejected_though_events_around_it_are_sent(pair: Pair) -> None:
    pair.forward(FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"),))))
    replay.resend_rejected(pair.engine, pair.record)
    middle = rejected_events.list_page(pair.engine, pair.record.id)[1].event_id
    pair.filled.change(f"UPDATE rejected_events SET replay_ns = NULL WHERE event_id = {middle}")
    assert pair.forward(FakeSender()).sent == 3
    assert [one.event_id for one in rejected_events.list_page(pair.engine, pair.record.id)] == [middle]


def test_of_what_is_sent_again_a_rule_may_drop_some_and_the_siem_refuse_some(pair: Pair) -> None:
    pair.forward(FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"),))))
    replay.resend_rejected(pair.engine, pair.record)
    kept = rejected_events.list_page(pair.engine, pair.record.id)
    rules = parse([{"drop": {"matches": {"uuid": kept[1].uuid}}}], "")
    second = FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(1, "422", "still no"),)))
    done = pair.forward(second, rules=rules)
    assert (done.sent, done.filtered, done.rejected) == (2, 1, 1)
    remaining = rejected_events.list_page(pair.engine, pair.record.id)
    assert [(one.event_id, one.code, one.answer, one.replay_ns) for one in remaining] == [
        (kept[2].event_id, "422", "still no", None)
    ]
    assert pair.filled.ask("SELECT max(rejected) FROM positions") == [(1,)]
    assert pair.forward(FakeSender()).sent == 0, "it waits for a person now"


def test_what_is_sent_again_is_so_after_a_kill_too_and_stays_rejected_until_it_is_accepted(pair: Pair) -> None:
    pair.forward(FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "no"),))))
    replay.resend_rejected(pair.engine, pair.record)
    broken, whole = (
        FakeSender(failing(0, of=pair), Limits(events=2, parallel=1)),
        FakeSender(limits=Limits(events=2, parallel=1)),
    )
    with pytest.raises(ThirdPartyGenericError):
        pair.forward(broken)
    assert len(rejected_events.list_page(pair.engine, pair.record.id)) == 4
    pair.forward(whole)
    assert broken.names == whole.names[:1]
    assert rejected_events.list_page(pair.engine, pair.record.id) == []


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


# A target that never confirms


def judged(engine: Engine, claim: PositionClaim, error: SourceError, fingerprint: str) -> SourceError:
    """The error with which an attempt leaves that ends in `error`."""
    try:
        with attempts.attempt((claim.pair_id, claim.stream_id), repeats=REPEAT_POLICY) as attempt:
            attempt.open(PositionRecord(engine, claim, fingerprint))
            raise error
    except SourceError as failure:
        return failure


def test_a_target_that_never_confirms_is_the_configuration_after_some_tries(pair: Pair) -> None:
    claim, waits = pair.claim(), []
    for _ in range(UNCONFIRMED_MAX - 1):
        error = judged(
            pair.engine, claim, NoConfirmationError("No close_notify.", hint="Do this.", code="ack"), "print"
        )
        assert isinstance(error, ThirdPartyGenericError)
        waits.append(error.retry_in)
    assert all(wait is not None and wait >= 10 for wait in waits)
    final = judged(pair.engine, claim, NoConfirmationError("No close_notify.", hint="Do this.", code="ack"), "print")
    assert isinstance(final, ThirdPartyConfigError)
    assert str(final) == f"No close_notify. This happened {UNCONFIRMED_MAX} times. Do this."
    assert final.retry_in is None
    assert pair.view().stopped_fingerprint == "print"


def test_the_tries_of_runs_that_were_killed_count(pair: Pair) -> None:
    """Else a target that never confirms gets the same events again and again, as long as runs are killed."""
    for number in range(UNCONFIRMED_MAX):
        claim = pair.claim(holder="run")
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="ack"), f"print {number}")
        attempts.forget((claim.pair_id, claim.stream_id))  # with the memory of the process
    assert isinstance(error, ThirdPartyConfigError)


def test_only_what_was_not_confirmed_counts_for_that(pair: Pair) -> None:
    claim = pair.claim()
    for _ in range(2 * UNCONFIRMED_MAX):
        assert isinstance(judged(pair.engine, claim, BUSY, "print"), ThirdPartyGenericError)
    for _ in range(UNCONFIRMED_MAX - 1):
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="ack"), "print")
        assert isinstance(error, ThirdPartyGenericError)
    (counted,) = pair.filled.ask("SELECT failed_attempts, unconfirmed FROM positions WHERE failed_attempts > 0")
    assert counted == (3 * UNCONFIRMED_MAX - 1, UNCONFIRMED_MAX - 1)


def test_each_progress_begins_the_count_again(pair: Pair) -> None:
    claim = pair.claim()
    for number in range(3 * UNCONFIRMED_MAX):
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="unconfirmed"), "print")
        assert isinstance(error, ThirdPartyGenericError)
        if number % (UNCONFIRMED_MAX - 1) == UNCONFIRMED_MAX - 2:
            end = pair.ids()[number]
            positions.advance(pair.engine, claim, positions.BatchOutcome(end, end, 1, 0), [])
