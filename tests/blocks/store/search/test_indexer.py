"""The index has each stored event once, whichever process adds it and wherever it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from support.at_once import Halt, at_once
from support.indexed_events import (
    ANA,
    DAY_NS,
    HOUR_NS,
    NOON_NS,
    CollectedEvents,
    counted,
    index_all,
    indexed,
    strings,
)
from support.indexed_events import event as made_event

from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api
from blocks.store import lifecycle, prune, sources
from blocks.store.engine import open_engine
from blocks.store.search import backlog, dictionary, indexer
from blocks.store.search.indexer import index_batch

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def collected(engine: Engine) -> CollectedEvents:
    return CollectedEvents(engine)


def uuids(engine: Engine) -> list[str]:
    return [row["uuid"] for row in indexed(engine)]


def pending(engine: Engine) -> int:
    with engine.connect() as connection:
        return backlog.count(connection)


def test_every_api_is_indexed_by_its_members(engine: Engine, collected: CollectedEvents) -> None:
    collected.sign_in("S", NOON_NS)
    collected.item_usage("I", NOON_NS + 1)
    collected.audit("A", NOON_NS + 2)
    assert pending(engine) == 3
    assert index_all(engine) == 3
    assert pending(engine) == 0
    sign_in, usage, audit = indexed(engine)
    assert (sign_in["user"], sign_in["action"], sign_in["type"], bool(sign_in["failed"])) == (
        "ANA",
        "success",
        "credentials_ok",
        False,
    )
    assert (usage["vault"], usage["item"], usage["client"], usage["failed"]) == (
        "vault1",
        "item1",
        "1Password for Mac",
        None,
    )
    assert (audit["user"], audit["type"], audit["object"], audit["aux"]) == ("ANA", "uva", "vault1", "BO")
    assert {row["day"] for row in indexed(engine)} == {NOON_NS // DAY_NS}
    with engine.connect() as connection:
        names = connection.execute(text("SELECT name, email FROM user_names ORDER BY name")).all()
    assert names == [("Ana Test", "ana@example.org"), ("Bo Test", "bo@example.org")]


def test_the_newest_name_of_a_user_wins_in_any_order(engine: Engine, collected: CollectedEvents) -> None:
    collected.sign_in("B", NOON_NS + HOUR_NS, target_user=ANA | {"name": "Ana New"})
    index_all(engine)
    collected.sign_in("A", NOON_NS, target_user=ANA | {"name": "Ana Old"})
    index_all(engine)
    assert "Ana New" in strings(engine)
    assert "Ana Old" not in strings(engine)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_batches_of_any_size_index_each_event_once(engine: Engine, collected: CollectedEvents, size: int) -> None:
    for number in range(4):
        collected.sign_in(f"S{number}", NOON_NS + number)
        collected.audit(f"A{number}", NOON_NS + 10 + number)
    assert index_all(engine, size) == 8
    collected.audit("late", NOON_NS - DAY_NS)
    assert index_all(engine, size) == 1
    assert uuids(engine) == ["late", "S0", "S1", "S2", "S3", "A0", "A1", "A2", "A3"]


def test_an_event_whose_body_cannot_be_read_has_a_row(engine: Engine, collected: CollectedEvents) -> None:
    collected.add(Api.AUDIT, made_event("A", NOON_NS, "not JSON"))
    if engine.dialect.name == "sqlite":
        collected.audit("B", NOON_NS + 1)
        with engine.begin() as connection:  # a file can be altered so that it holds what no client sent
            connection.execute(text("UPDATE events SET body = CAST(x'fffe' AS TEXT) WHERE uuid = 'B'"))
    assert index_all(engine) == len(uuids(engine)) > 0
    assert {row["user"] for row in indexed(engine)} == {None}


def test_events_from_before_the_chain_are_indexed(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("old")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM chain"))
        connection.execute(text("UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL"))
    assert index_all(engine) == 1
    collected.audit("new")
    assert index_all(engine) == 1
    assert pending(engine) == 0


def test_events_that_were_pruned_before_they_were_indexed_are_no_backlog(
    engine: Engine, collected: CollectedEvents
) -> None:
    collected.audit("A")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM events"))
        connection.execute(text("UPDATE streams SET events = 0, pruned = 1 WHERE api = 'audit'"))
    assert index_all(engine) == 0
    assert index_batch(engine) is None, "the position moved past them"
    assert pending(engine) == 0


def test_two_indexers_at_once_index_each_event_once(engines: tuple[Engine, Engine]) -> None:
    collected = CollectedEvents(engines[0])
    for number in range(30):
        collected.audit(f"A{number}", NOON_NS + number)
    at_once(*(partial(index_all, engine, 3) for engine in engines))
    assert sorted(uuids(engines[0])) == sorted(f"A{number}" for number in range(30))
    assert counted(engines[0])["event_index"] == 30
    assert pending(engines[0]) == 0


def test_a_batch_that_another_overtook_is_dropped(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = engines
    CollectedEvents(first).audit("A")
    halt = Halt(indexer._newest_days)  # after it has read, before it writes
    monkeypatch.setattr(indexer, "_newest_days", halt)
    assert halt.overtaken(partial(index_batch, first), by=partial(index_batch, second)) == [0, 1]
    assert uuids(first) == ["A"]


def test_a_prune_that_overtakes_leaves_no_row(engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = engines
    CollectedEvents(first).audit("A", NOON_NS)
    _receive_long_ago(first)
    halt = Halt(indexer._newest_days)
    monkeypatch.setattr(indexer, "_newest_days", halt)
    _, removed = halt.overtaken(partial(index_batch, first), by=partial(_prune, second))
    assert removed == 1
    index_all(first)
    assert counted(first)["event_index"] == 0
    assert strings(first) == set()


def test_a_purge_that_overtakes_leaves_no_row(engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = engines
    collected = CollectedEvents(first)
    for number in range(5):
        collected.audit(f"A{number}")
    halt = Halt(indexer._newest_days)
    monkeypatch.setattr(indexer, "_newest_days", halt)
    halt.overtaken(partial(index_batch, first), by=partial(_purge, second))
    assert index_all(first) == 0
    assert set(counted(first).values()) == {0}


def _receive_long_ago(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET received_ns = time_ns"))


def _prune(engine: Engine) -> int:
    targets = prune.targets(engine)
    return sum(sum(prune.prune(engine, one, prune.parse_rule("121d"), wait=lambda _: None)) for one in targets)


def _purge(engine: Engine, name: str = "1Pass") -> None:
    source = lifecycle.find(engine, name)
    assert source
    lifecycle.finish_deletion(engine, source)
    lifecycle.purge(engine, source)


def test_after_a_prune_nothing_of_its_events_is_left(engine: Engine, collected: CollectedEvents) -> None:
    """Values that other events have stay, and those alone."""
    now_ns = NOON_NS + 1000 * DAY_NS
    mallory = {"uuid": "MALLORY", "name": "Mallory", "email": "mallory@example.org"}
    collected.sign_in("old", NOON_NS, target_user=mallory, client={"ip_address": "198.51.100.9", "app_name": "Odd"})
    collected.item_usage("old2", NOON_NS + DAY_NS, item_uuid="secret", vault_uuid="vault1")
    collected.audit("old3", NOON_NS + DAY_NS, actor_details=ANA, aux_uuid="MALLORY", aux_details=mallory)
    _receive_long_ago(engine)
    collected.item_usage("new", now_ns)
    index_all(engine)
    assert _prune(engine) == 3
    assert uuids(engine) == ["new"]
    assert strings(engine) == {
        *("ANA", "Ana Test", "ana@example.org", "reveal", "vault1", "item1", "192.0.2.1"),
        *("1Password for Mac", "81112305", "MacOSX"),
    }
    assert pending(engine) == 0


def test_a_value_stays_as_long_as_an_event_of_any_day_has_it(engine: Engine, collected: CollectedEvents) -> None:
    for number in range(6):
        collected.audit(f"A{number}", NOON_NS + number * DAY_NS)
    collected.sign_in("S", NOON_NS - 3 * DAY_NS, target_user={"uuid": "vault1"})
    index_all(engine)
    while left := uuids(engine):
        newest = left[-1]
        with engine.begin() as connection:
            event_id = connection.execute(
                text("SELECT id FROM events WHERE uuid = :uuid"), {"uuid": newest}
            ).scalar_one()
            dictionary.remove_events(connection, [event_id])
        assert ("vault1" in strings(engine)) == (len(left) > 1), newest
        assert ("BO" in strings(engine)) == any(uuid.startswith("A") for uuid in uuids(engine))
    assert strings(engine) == set()


def test_after_a_purge_nothing_of_the_source_is_left(engine: Engine, collected: CollectedEvents) -> None:
    other = CollectedEvents(engine, sources.SourceRecord(**{**_members(collected.source), "id": "2", "name": "Other"}))
    for number in range(3):
        collected.audit(f"A{number}", NOON_NS + number * DAY_NS)
        collected.sign_in(
            f"S{number}", NOON_NS + number * DAY_NS, target_user={"uuid": "EVE", "email": "eve@example.org"}
        )
    other.sign_in("O", NOON_NS, target_user={"uuid": "OTTO"}, client={}, country=None)
    index_all(engine)
    _purge(engine)
    assert uuids(engine) == ["O"]
    assert strings(engine) == {"OTTO", "success", "credentials_ok"}
    _purge(engine, "Other")
    assert set(counted(engine).values()) == {0}


def _members(source: sources.SourceRecord) -> dict[str, Any]:
    return {name: getattr(source, name) for name in source.__dataclass_fields__}


def test_an_error_of_the_database_leaves_the_batch_to_the_next_try(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A")

    def fail(*_: object) -> None:
        raise FirstPartyGenericError("The disk is full.", hint="", code="store")

    event.listen(engine, "commit", fail)
    with pytest.raises(FirstPartyGenericError):
        index_batch(engine)
    event.remove(engine, "commit", fail)
    assert index_all(engine) == 1
    assert uuids(engine) == ["A"]


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from blocks.store.engine import open_engine
from blocks.store.search.indexer import index_batch
left = int(sys.argv[2])
def step(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
for name in ("before_cursor_execute", "commit"):
    event.listen(Engine, name, step)
engine = open_engine(sys.argv[1])
while index_batch(engine, 2) is not None:
    pass
"""


@pytest.mark.processes
def test_killed_at_any_statement_the_next_indexer_goes_on(store_url: str) -> None:
    engine = open_engine(store_url)
    collected = CollectedEvents(engine)
    expected: list[str] = []
    for fatal in range(1, 100, 3):
        if not pending(engine):
            collected.audit(f"A{fatal:03}", NOON_NS + fatal)
            collected.sign_in(f"S{fatal:03}", NOON_NS + fatal, target_user={"uuid": f"U{fatal}", "name": "New"})
            expected += [f"A{fatal:03}", f"S{fatal:03}"]
        killed = subprocess.run([sys.executable, "-c", KILLED, store_url, str(fatal)], check=False)
        assert killed.returncode in {0, -signal.SIGKILL}
        if killed.returncode == 0:
            break
        rows = counted(engine)["event_index"]
        assert rows + pending(engine) == len(expected), "what is indexed and what is counted parted"
    assert killed.returncode == 0
    assert sorted(uuids(engine)) == sorted(expected)
    assert pending(engine) == 0
    engine.dispose()
