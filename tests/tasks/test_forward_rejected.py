"""Events that a SIEM rejects: they are kept, and sent again where a person wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import FakeSender, Pair, chunks, failing

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import BatchResult, Limits, RejectedRecord, RequestRejectedError
from blocks.siem.privacy.rules import parse
from blocks.store.forwarding import rejected_events, replay

if TYPE_CHECKING:
    from blocks.siem.delivery.protocol import Batch


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
