"""Two that try or discard the same quarantined items at the same moment, and a collection beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.at_once import at_once, meeting
from support.chains import Filled
from support.values import SOURCE, require_proof

from blocks.events_api.models import Api, Event
from blocks.store import quarantine, sources

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch) -> Filled:
    """Three items, which this version can read."""
    sources.save(engines[0], SOURCE)
    made = Filled(engines[0])
    made.commit(Api.AUDIT, 2, rejected=3)
    monkeypatch.setattr(quarantine, "read_item", lambda item: Event(f"read {item.decode()[-3]}", 10**18, item.decode()))
    return made


def counts(filled: Filled) -> tuple[object, ...]:
    return filled.ask("SELECT events, quarantined FROM streams WHERE api = 'audit'")[0]


def test_two_that_try_the_same_items_store_each_once(
    engines: tuple[Engine, Engine], filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_retry_batch", meeting(quarantine._retry_batch))
    done = at_once(*(lambda engine=engine: quarantine.retry(engine, SOURCE.id) for engine in engines))
    assert sorted(one.stored for one in done) == [0, 3]
    assert counts(filled) == (5, 0)
    assert require_proof(filled.engine) == 2


def test_a_collection_beside_a_retry_keeps_the_chain(
    engines: tuple[Engine, Engine], filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_retry_batch", meeting(quarantine._retry_batch))
    monkeypatch.setattr(filled, "commit", meeting(filled.commit))
    at_once(lambda: quarantine.retry(engines[1], SOURCE.id), lambda: filled.commit(Api.AUDIT, 4))
    assert counts(filled) == (9, 0)
    assert require_proof(filled.engine) == 3


def test_what_one_discards_another_does_not_store(
    engines: tuple[Engine, Engine], filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_lock", meeting(quarantine._lock))
    retried, discarded = at_once(
        lambda: quarantine.retry(engines[0], SOURCE.id), lambda: quarantine.discard(engines[1], SOURCE.id, "x")
    )
    assert retried.stored + discarded == 3
    assert counts(filled) == (2 + retried.stored, 0)
