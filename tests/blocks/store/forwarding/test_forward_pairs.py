"""Pairs of source and SIEM: made, paused, skipped ahead, removed; and what they keep from being pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import SIEM, FakeSender, Pair
from support.values import SOURCE

from blocks.errors import ClaimLostError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import health, prune, sources
from blocks.store.engine import is_sqlite, writing
from blocks.store.forwarding import forward_pairs, positions, rejected_events, replay, unsent_events
from blocks.store.forwarding.positions import BatchOutcome, advance
from blocks.store.forwarding.rejected_events import RejectedEvent

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from support.moving_clock import MovingClock

MINUTE_NS = 60 * 10**9


def skip(pair: Pair, until_ns: int) -> None:
    """As of a pair that is new."""
    with writing(pair.engine) as connection:
        forward_pairs._skip(connection, pair.record, until_ns)


def test_pairs_are_found_by_siem_and_by_source(pair: Pair) -> None:
    assert forward_pairs.find_all(pair.engine) == forward_pairs.find_all(pair.engine, SIEM) == [pair.record]
    assert forward_pairs.find_all(pair.engine, SIEM, SOURCE.name) == [pair.record]
    assert forward_pairs.find_all(pair.engine, "other") == forward_pairs.find_all(pair.engine, source="other") == []
    assert forward_pairs.find(pair.engine, SOURCE.id, SIEM) == pair.record
    with pytest.raises(ThirdPartyConfigError, match="no SIEM named 'other'"):
        forward_pairs.require(pair.engine, "other")
    assert pair.actions() == ["siem add"]


def test_those_of_a_deleted_source_are_not_unless_requested(pair: Pair) -> None:
    pair.filled.change("UPDATE sources SET deleted_ns = 1")
    assert forward_pairs.find_all(pair.engine) == []
    with pytest.raises(ThirdPartyConfigError, match="no SIEM named 'soc'"):
        forward_pairs.require(pair.engine, SIEM)
    assert forward_pairs.find_all(pair.engine, with_deleted=True) == [pair.record]
    assert forward_pairs.require(pair.engine, SIEM, SOURCE.name, with_deleted=True) == [pair.record]


def test_a_new_pair_leaves_out_what_was_received_before_at_once(pair: Pair, moving: MovingClock) -> None:
    since_ns = moving.now_ns() - 2 * MINUTE_NS
    for _ in range(2):  # it is new but once
        other, _ = forward_pairs.save(pair.engine, SOURCE.id, "other", "webhook", {}, "first", since_ns=since_ns)
        since_ns = moving.now_ns() + 1
    beside = Pair(pair.engine, other, pair.filled)
    sender = FakeSender()
    beside.forward(sender)
    assert sorted(sender.accepted) == pair.ids()[4:]
    assert pair.actions() == ["siem add", "siem add", "siem skip"]


def test_a_pair_that_is_killed_as_it_is_made_is_not_there(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(positions, "move_within", killed)
    with pytest.raises(KeyboardInterrupt):
        forward_pairs.save(pair.engine, SOURCE.id, "other", "webhook", {}, "first", since_ns=2**62)
    assert forward_pairs.find_all(pair.engine) == [pair.record]


def test_a_pair_of_another_kind_sends_all_there_is(pair: Pair) -> None:
    pair.forward(FakeSender())
    claim = pair.claim()
    advance(pair.engine, claim, None, [pair.ids()[-1] + 1])
    _, changed = forward_pairs.save(pair.engine, SOURCE.id, SIEM, "splunk", {}, "first")
    assert changed
    assert (pair.view().acknowledged_id, pair.view().in_flight) == (0, ())
    with pytest.raises(ClaimLostError):
        positions.renew(pair.engine, claim)
    assert forward_pairs.find_all(pair.engine)[0].kind == "splunk"
    sender = FakeSender()
    pair.forward(sender)
    forward_pairs.save(pair.engine, SOURCE.id, SIEM, "splunk", {}, "second")
    pair.forward(sender)
    assert [sender.accepted[id_] for id_ in pair.ids()] == [1] * 8


@pytest.mark.parametrize("kind", ["webhook", "splunk"])
def test_a_run_that_is_late_brings_back_no_pair(pair: Pair, kind: str) -> None:
    changed = forward_pairs.save(pair.engine, SOURCE.id, SIEM, "webhook", {}, "second", only_known=True)
    assert (changed[0].fingerprint, changed[1]) == ("second", True)
    if kind == "webhook":
        forward_pairs.remove(pair.engine, pair.record)
    before = forward_pairs.find_all(pair.engine)
    with pytest.raises(ThirdPartyConfigError, match="The events of '1Pass' are not forwarded to 'soc'") as raised:
        forward_pairs.save(pair.engine, SOURCE.id, SIEM, kind, {}, "third", only_known=True)
    assert raised.value.code == "unknown-siem"
    assert forward_pairs.find_all(pair.engine) == before
    if kind == "webhook":
        with pytest.raises(ThirdPartyConfigError, match="was removed during this run"):
            pair.view()
        assert pair.filled.ask("SELECT count(*) FROM positions") == [(0,)]


@pytest.mark.parametrize(
    ("value", "enabled"),
    [(True, True), ("true", True), ("True", True), (False, False), ("yes", False), (1, False), (1.0, False)],
)
def test_the_field_of_a_source_enables_forwarding(pair: Pair, value: object, enabled: bool) -> None:
    from dataclasses import replace

    sources.save(pair.engine, replace(SOURCE, fields={"_siemForward": value}))
    assert forward_pairs.source_metadata(pair.engine, SOURCE.id).for_siem is enabled


def test_pause_and_resume_say_whether_they_changed_anything(pair: Pair) -> None:
    assert [
        forward_pairs.set_paused(pair.engine, pair.record, paused=paused) for paused in (True, True, False, False)
    ] == [
        True,
        False,
        True,
        False,
    ]
    assert pair.actions() == ["siem add", "siem pause", "siem resume"]


def test_skip_leaves_out_what_was_received_before(pair: Pair, moving: MovingClock) -> None:
    skip(pair, moving.now_ns() - 2 * MINUTE_NS)
    sender = FakeSender()
    pair.forward(sender)
    assert sorted(sender.accepted) == pair.ids()[4:]
    skip(pair, moving.now_ns())
    pair.filled.commit(Api.AUDIT, 1)
    skip(pair, 0)
    pair.forward(sender)
    assert sorted(sender.accepted) == [*pair.ids()[4:8], pair.ids()[8]]


def test_skip_of_all_there_is(pair: Pair, moving: MovingClock) -> None:
    skip(pair, moving.now_ns() + 1)
    assert [pair.view(api).acknowledged_id for api in (Api.AUDIT, Api.SIGN_IN, Api.ITEM_USAGE)] == [
        pair.ids()[-1],
        pair.ids(Api.SIGN_IN)[-1],
        0,
    ]


def test_a_page_that_is_committed_while_it_looks_is_not_skipped(
    pair: Pair, moving: MovingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_sqlite(pair.engine):
        pytest.skip("SQLite has one writer at a time")
    first_since, last_id = unsent_events.first_since, pair.ids()[-1]

    def look(connection: Connection, stream_id: int, time_ns: int) -> int | None:
        found = first_since(connection, stream_id, time_ns)
        if stream_id == pair.filled.id_of(Api.AUDIT):
            pair.filled.commit(Api.AUDIT, 2)
        return found

    monkeypatch.setattr(unsent_events, "first_since", look)
    skip(pair, moving.now_ns())
    assert pair.view().acknowledged_id == last_id
    assert len([id_ for id_ in pair.ids() if id_ > last_id]) == 2


def test_what_was_not_sent_is_not_pruned(pair: Pair, moving: MovingClock) -> None:
    moving.advance(500 * 86_400)
    advance(pair.engine, pair.claim(), BatchOutcome(1, pair.ids()[3], 4, 0), [])
    remaining = pair.ids()[4:]
    assert prune_all(pair) == 4
    assert pair.ids() == remaining


def prune_all(pair: Pair, api: Api = Api.AUDIT) -> int:
    """How many events were removed, and how many of those that are old were planned to stay."""
    target = next(one for one in prune.targets(pair.engine) if one.api == api)
    planned = prune.plan(pair.engine, target, prune.parse_rule("200d"))
    removed = sum(prune.prune(pair.engine, target, prune.parse_rule("200d"), lambda _: None))
    assert (planned.going, planned.unsent) == (removed, len(pair.ids(api)))
    return removed


def test_rejected_events_are_not_pruned_until_they_are_discarded(pair: Pair, moving: MovingClock) -> None:
    moving.advance(500 * 86_400)
    rejected = pair.rejects(1, 4)
    assert prune_all(pair) == 6
    assert pair.ids() == rejected
    assert replay.resend_rejected(pair.engine, pair.record) == 2
    rejected_events.discard(pair.engine, pair.record)
    assert prune_all(pair) == 2


def test_events_that_are_rejected_during_a_prune_stay(pair: Pair, moving: MovingClock) -> None:
    advance(pair.engine, pair.claim(), BatchOutcome(1, pair.ids()[-1], 8, 0), [])
    moving.advance(500 * 86_400)
    target = next(one for one in prune.targets(pair.engine) if one.api == Api.AUDIT)
    rule = prune.parse_rule("200d")
    found, _ = prune._next_batch(pair.engine, target.stream_id, rule, rule.before_ns, (0, -1))
    digests = prune._digests(pair.engine, found)
    rejected = pair.rejects(1, 4)
    assert prune._remove(pair.engine, target, rule, digests) == 6
    assert pair.ids() == rejected


def test_what_a_pair_has_never_looked_at_is_not_pruned(pair: Pair, moving: MovingClock) -> None:
    """As of an API that is new while its pair is paused: there is no position in it."""
    moving.advance(500 * 86_400)
    pair.filled.change("DELETE FROM positions WHERE stream_id = {audit}")
    assert prune_all(pair) == 0
    pair.forward(FakeSender())
    assert prune_all(pair) == 8


def test_a_deleted_source_holds_nothing_for_its_siems(pair: Pair, moving: MovingClock) -> None:
    moving.advance(500 * 86_400)
    pair.rejects(1, 4)
    pair.filled.change("UPDATE sources SET deleted_ns = 1")
    assert prune_all(pair) == 8
    assert prune_all(pair, Api.SIGN_IN) == 3


def test_nothing_of_a_removed_pair_stays(pair: Pair) -> None:
    claim = pair.claim()
    advance(pair.engine, claim, BatchOutcome(1, 9, 0, 0, (RejectedEvent(2, "U2", "400", "no"),)), [])
    positions.stop(pair.engine, claim, ThirdPartyConfigError("401"), "first")
    forward_pairs.remove(pair.engine, pair.record)
    assert forward_pairs.find_all(pair.engine) == []
    for table in ("positions", "rejected_events", "pairs"):
        assert pair.filled.ask(f"SELECT count(*) FROM {table}") == [(0,)]
    assert health.open_conditions(pair.engine, SOURCE.id) == {}
    assert pair.health_events()[-2:] == [("Recovered", "Error", "Healthy"), ("Recovered", "Warning", "Healthy")]
    assert len(pair.ids()) == 8
