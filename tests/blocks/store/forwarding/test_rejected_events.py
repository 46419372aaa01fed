"""Events that a SIEM rejected: listed with its answer, and discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.store import audit_log
from blocks.store.forwarding import rejected_events, replay

if TYPE_CHECKING:
    from support.forwarding import Pair


def test_rejected_events_are_listed_with_their_bodies_page_by_page(pair: Pair) -> None:
    rejected = pair.rejects(1, 4, 6)
    first = rejected_events.list_page(pair.engine, pair.record.id, size=2)
    second = rejected_events.list_page(pair.engine, pair.record.id, first[-1].key, size=2)
    assert [one.event_id for one in [*first, *second]] == rejected
    assert rejected_events.list_page(pair.engine, pair.record.id, second[-1].key) == []
    assert [(one.uuid, one.api, one.code, one.answer) for one in second] == [("audit-000006", "audit", "400", "no 6")]
    assert '"uuid": "audit-000006"' in str(second[0].body)
    pair.filled.change(f"DELETE FROM events WHERE id = {rejected[2]}")
    assert rejected_events.list_page(pair.engine, pair.record.id, first[-1].key)[0].body is None


def test_what_is_discarded_is_sent_no_more(pair: Pair) -> None:
    pair.rejects(0, 1)
    assert replay.resend_rejected(pair.engine, pair.record) == 2
    assert rejected_events.discard(pair.engine, pair.record) == 2
    assert rejected_events.list_page(pair.engine, pair.record.id) == []
    assert list(replay.marked_batches(pair.engine, pair.claim(), 9)) == []
    assert pair.health_events() == [("EventsRejected", "Warning", "UnHealthy"), ("Recovered", "Warning", "Healthy")]
    assert pair.filled.ask("SELECT max(rejected) FROM positions") == [(0,)]
    assert pair.actions()[-2:] == ["siem replay", "siem discard"]


def test_some_are_discarded_with_a_reason_and_the_others_stay(pair: Pair) -> None:
    rejected = pair.rejects(0, 1, 4)
    stream = pair.filled.id_of(Api.AUDIT)
    assert (
        rejected_events.discard(pair.engine, pair.record, [(stream, rejected[1]), (stream, 999)], "a test account") == 1
    )
    assert [one.event_id for one in rejected_events.list_page(pair.engine, pair.record.id)] == [
        rejected[0],
        rejected[2],
    ]
    assert pair.filled.ask(f"SELECT rejected FROM positions WHERE stream_id = {stream}") == [(2,)]
    assert pair.health_events() == [("EventsRejected", "Warning", "UnHealthy")]
    record = audit_log.newest(pair.engine, 1)[0]
    assert (record.action, record.details) == (
        "siem discard",
        {"siem": "soc", "rejected": 1, "reason": "a test account"},
    )


def test_the_last_one_that_is_discarded_ends_the_warning(pair: Pair) -> None:
    (rejected,) = pair.rejects(0)
    rejected_events.discard(pair.engine, pair.record, [(pair.filled.id_of(Api.AUDIT), rejected)], "no use")
    assert pair.health_events()[-1] == ("Recovered", "Warning", "Healthy")


def test_some_are_sent_again(pair: Pair) -> None:
    rejected = pair.rejects(0, 1, 4)
    assert replay.resend_rejected(pair.engine, pair.record, [(pair.filled.id_of(Api.AUDIT), rejected[1])]) == 1
    marked = list(replay.marked_batches(pair.engine, pair.claim(), 9))
    assert [event.id for batch in marked for event in batch.events] == [rejected[1]]
