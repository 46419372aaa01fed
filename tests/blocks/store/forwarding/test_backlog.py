"""Which pairs have something to do: a run of `forward` is started for these alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.forwarding import FakeSender, Pair
from support.values import SOURCE

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import BatchResult, RejectedRecord
from blocks.store import sources
from blocks.store.forwarding import backlog, forward_pairs, positions, replay

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.siem.delivery.protocol import Batch

BUSY = ThirdPartyGenericError("The SIEM answered 503.", code="503")
HOUR = 3600.0


@pytest.fixture
def pair(engine: Engine) -> Pair:
    created = Pair.create(engine)
    created.filled.commit(Api.AUDIT, 3)
    return created


def waiting(pair: Pair) -> list[str]:
    return [one.siem for one in backlog.pairs_with_work(pair.engine, SOURCE.name)]


def refuse_all(batch: Batch) -> BatchResult:
    return BatchResult(rejected=[RejectedRecord(index, "400", "no") for index in range(len(batch.records))])


def test_a_pair_waits_until_all_its_events_are_sent(pair: Pair) -> None:
    assert waiting(pair) == ["soc"]
    pair.forward(FakeSender())
    assert waiting(pair) == []
    pair.filled.commit(Api.SIGN_IN, 1)
    assert waiting(pair) == ["soc"]
    pair.forward(FakeSender(), Api.SIGN_IN)
    assert waiting(pair) == []


def test_a_page_without_a_new_event_is_nothing_to_send(pair: Pair) -> None:
    pair.forward(FakeSender())
    pair.filled.commit(Api.AUDIT, 0, known=2, rejected=1)
    assert waiting(pair) == []


def test_a_pair_that_has_no_positions_yet_waits(engine: Engine, pair: Pair) -> None:
    pair.filled.ask("SELECT 1")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM positions")
    assert waiting(pair) == ["soc"]


def test_what_a_run_holds_does_not_wait_until_its_claim_lapses(pair: Pair, moving: MovingClock) -> None:
    claim = pair.claim()
    assert waiting(pair) == []
    pair.filled.commit(Api.SIGN_IN, 1)
    assert waiting(pair) == ["soc"], "a stream that no run holds"
    pair.forward(FakeSender(), Api.SIGN_IN)
    positions.renew(pair.engine, claim, for_seconds=60)
    moving.advance(HOUR)
    assert waiting(pair) == ["soc"]


def test_a_stream_that_was_given_up_waits_for_a_person(pair: Pair) -> None:
    positions.stop(pair.engine, pair.claim(), BUSY, "first")
    assert waiting(pair) == []
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    assert waiting(pair) == ["soc"], "it was resumed"


def test_a_pair_that_is_paused_or_whose_source_forwards_nothing_does_not_wait(pair: Pair) -> None:
    forward_pairs.set_paused(pair.engine, pair.record, paused=True)
    assert waiting(pair) == []
    forward_pairs.set_paused(pair.engine, pair.record, paused=False)
    sources.save(pair.engine, replace(SOURCE, fields={}))
    assert waiting(pair) == []


def test_rejected_events_wait_once_a_person_wants_them_sent_again(pair: Pair) -> None:
    pair.forward(FakeSender(refuse_all))
    assert waiting(pair) == []
    assert replay.resend_rejected(pair.engine, pair.record) == 3
    assert waiting(pair) == ["soc"]
    pair.forward(FakeSender())
    assert waiting(pair) == []


def test_an_archive_waits_from_the_end_of_the_hour_on(engine: Engine, moving: MovingClock) -> None:
    pair = Pair.create(engine, kind="archive")
    pair.filled.commit(Api.AUDIT, 3)
    assert waiting(pair) == []
    moving.advance(HOUR + 150)
    assert waiting(pair) == ["soc"]
    sources.save(engine, replace(SOURCE, fields={}))
    assert waiting(pair) == ["soc"], "an archive takes the events of every source"


def test_an_older_store_without_links_is_looked_at_event_by_event(engine: Engine, pair: Pair) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE streams SET link_id = NULL")
    assert waiting(pair) == ["soc"]
    pair.forward(FakeSender())
    assert waiting(pair) == []


def test_pairs_of_other_sources_are_left_out(pair: Pair) -> None:
    assert backlog.pairs_with_work(pair.engine, "another") == []
