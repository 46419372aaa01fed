"""What is not forwarded: where forwarding is disabled or paused, and by the rules of the source and the SIEM."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.forwarding import FakeSender, Pair, once_all_begun, preparer
from support.values import SOURCE

from blocks.config.name_file import NamedObject
from blocks.errors import ClaimLostError
from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.siem.delivery.protocol import ACCEPTED, BatchResult, Limits
from blocks.siem.webhook.block import Webhook
from blocks.store import names, sources
from blocks.store.forwarding import forward_pairs, forward_status, positions
from tasks.forward import ForwardingCheck, StreamForwarder
from tasks.support.siem import make_preparer

if TYPE_CHECKING:
    from blocks.siem.delivery.protocol import Batch


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
