"""Events are sent again: those received since a time, or those that a SIEM rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import FakeSender, Pair

from blocks.events_api.models import Api
from blocks.store.forwarding import replay
from blocks.store.forwarding.positions import BatchOutcome, advance

if TYPE_CHECKING:
    from support.moving_clock import MovingClock

MINUTE_NS = 60 * 10**9


@pytest.mark.parametrize(("minutes", "again"), [(-9, 11), (0, 11), (1, 9), (2, 7), (3, 2), (4, 0)])
def test_replay_sends_what_was_received_since(pair: Pair, moving: MovingClock, minutes: int, again: int) -> None:
    start_ns = moving.now_ns() - 4 * MINUTE_NS
    for api in (Api.AUDIT, Api.SIGN_IN):
        pair.forward(FakeSender(), api)
    assert replay.resend_since(pair.engine, pair.record, start_ns + minutes * MINUTE_NS) == again
    sender = FakeSender()
    for api in Api:
        pair.forward(sender, api)
    assert sum(sender.accepted.values()) == again
    assert set(sender.accepted.values()) <= {1}


def test_replay_leaves_what_was_not_sent_yet(pair: Pair, moving: MovingClock) -> None:
    first = pair.ids()[1]
    advance(pair.engine, pair.claim(), BatchOutcome(1, first, 2, 0), [])
    assert replay.resend_since(pair.engine, pair.record, moving.now_ns() - 2 * MINUTE_NS) == 0
    assert pair.view().acknowledged_id == first
    assert replay.resend_since(pair.engine, pair.record, 0) == 2


def test_what_is_replayed_has_other_names_than_before(pair: Pair) -> None:
    """A SIEM that remembers names would not take it a second time."""
    first, second = FakeSender(), FakeSender()
    pair.forward(first)
    replay.resend_since(pair.engine, pair.record, 0)
    pair.forward(second)
    assert first.ids == second.ids
    assert not set(first.names) & set(second.names)


def test_those_that_are_marked_come_once_and_by_their_mark(pair: Pair, moving: MovingClock) -> None:
    rejected = pair.rejects(0, 1, 2, 3, 5)
    claim = pair.claim()
    assert list(replay.marked_batches(pair.engine, claim, 10)) == []
    pair.filled.change(f"UPDATE rejected_events SET replay_ns = 7 WHERE event_id >= {rejected[3]}")
    assert replay.resend_rejected(pair.engine, pair.record) == 5
    assert replay.resend_rejected(pair.engine, pair.record) == 5, "those that wait already, too"
    found = list(replay.marked_batches(pair.engine, claim, 2))
    assert [[event.id for event in one.events] for one in found] == [rejected[3:], rejected[:2], rejected[2:3]]
    assert [one.mark_ns for one in found] == [7, moving.now_ns(), moving.now_ns()]
    assert list(replay.marked_batches(pair.engine, pair.claim(Api.SIGN_IN), 2)) == []


def test_a_rejected_event_that_was_pruned_cannot_be_sent_again(pair: Pair) -> None:
    rejected = pair.rejects(0, 1)
    pair.filled.change(f"DELETE FROM events WHERE id = {rejected[0]}")
    assert replay.resend_rejected(pair.engine, pair.record) == 1
    assert [
        event.id for one in replay.marked_batches(pair.engine, pair.claim(), 9) for event in one.events
    ] == rejected[1:]
