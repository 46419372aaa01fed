"""Whatever is changed, removed, added or reordered is found, and nothing is found where nothing was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from support.chains import START_NS, Filled, event, fill
from support.moving_clock import MovingClock
from support.paths import TESTS
from support.values import SOURCE

from blocks import clock
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, prune, sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.engine import open_engine
from blocks.store.integrity import chain_reader, checkpoints, verification
from blocks.store.integrity.digests import ORIGIN, link_digest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord

SOUND = dict.fromkeys(Api, None)


def test_an_untouched_store_has_no_damage(filled: Filled) -> None:
    found = filled.prove()
    assert filled.damaged() == SOUND
    assert [(one.links, one.events, one.pruned, one.uncovered) for one in found.values()] == [(6, 24, 0, 0)] * 3


CHAIN = "chain WHERE stream_id = {audit} AND number"

TAMPERED = {
    "a byte of a body": (["UPDATE events SET body = replace(body, 'é', 'è') WHERE id = {third[1]}"], 3, "changed"),
    "a uuid": (["UPDATE events SET uuid = 'other' WHERE id = {third[1]}"], 3, "changed"),
    "a time": (["UPDATE events SET time_ns = time_ns + 1 WHERE id = {third[1]}"], 3, "changed"),
    "a time of receipt": (["UPDATE events SET received_ns = received_ns + 1 WHERE id = {third[1]}"], 3, "changed"),
    "an event": (["DELETE FROM events WHERE id = {third[1]}"], 3, "removed"),
    "the first event": (["DELETE FROM events WHERE id = {third[0]}"], 3, "removed"),
    "an event of another stream": (["UPDATE events SET stream_id = {sign_in} WHERE id = {third[1]}"], 3, "removed"),
    "two bodies": (
        [
            "CREATE TEMP TABLE old AS SELECT id, body FROM events WHERE id IN ({third[1]}, {third[2]})",
            "UPDATE events SET body = (SELECT body FROM old WHERE id = {third[2]}) WHERE id = {third[1]}",
            "UPDATE events SET body = (SELECT body FROM old WHERE id = {third[1]}) WHERE id = {third[2]}",
        ],
        3,
        "reordered",
    ),
    "two events": (
        [
            "UPDATE events SET id = -1 WHERE id = {third[1]}",
            "UPDATE events SET id = {third[1]} WHERE id = {third[2]}",
            "UPDATE events SET id = {third[2]} WHERE id = -1",
        ],
        3,
        "changed",
    ),
    "a link": ([f"DELETE FROM {CHAIN} = 3"], 3, "removed"),
    "a link and its events": (
        [
            "DELETE FROM events WHERE stream_id = {audit} AND id BETWEEN {third[0]} AND {third[3]}",
            f"DELETE FROM {CHAIN} = 3",
        ],
        3,
        "removed",
    ),
    "the first link": ([f"DELETE FROM {CHAIN} = 1"], 1, "removed"),
    "the last link": ([f"DELETE FROM {CHAIN} = 6"], 6, "removed"),
    "all links": ([f"DELETE FROM {CHAIN} > 0"], 1, "removed"),
    "two pages": (
        [
            "UPDATE chain SET number = -1 WHERE stream_id = {audit} AND number = 3",
            "UPDATE chain SET number = 3 WHERE stream_id = {audit} AND number = 4",
            "UPDATE chain SET number = 4 WHERE stream_id = {audit} AND number = -1",
        ],
        3,
        "reordered",
    ),
    "the API version": (["UPDATE chain SET api_version = 'v1' WHERE stream_id = {audit} AND number = 3"], 3, "changed"),
    "the time of commit": (
        ["UPDATE chain SET committed_ns = committed_ns - 1 WHERE stream_id = {audit} AND number = 3"],
        3,
        "changed",
    ),
    "both times of commit": (
        [
            "UPDATE chain SET committed_ns = committed_ns - 1 WHERE stream_id = {audit} AND number = 3",
            "UPDATE events SET received_ns = received_ns - 1 WHERE id BETWEEN {third[0]} AND {third[3]}",
        ],
        3,
        "changed",
    ),
    "the count": (["UPDATE chain SET events = 3 WHERE stream_id = {audit} AND number = 3"], 3, "changed"),
    "a large count": (
        ["UPDATE chain SET events = 1000000000000 WHERE stream_id = {audit} AND number = 3"],
        3,
        "changed",
    ),
    "the first id, lower": (["UPDATE chain SET first_id = 1 WHERE stream_id = {audit} AND number = 3"], 3, "changed"),
    "the first id, higher": (
        ["UPDATE chain SET first_id = first_id + 1 WHERE stream_id = {audit} AND number = 3"],
        3,
        "removed",
    ),
    "the last id, higher": (
        ["UPDATE chain SET last_id = 1000000000000 WHERE stream_id = {audit} AND number = 3"],
        3,
        "changed",
    ),
    "the last id, lower": (
        ["UPDATE chain SET last_id = last_id - 1 WHERE stream_id = {audit} AND number = 3"],
        3,
        "removed",
    ),
    "a digest": (["UPDATE chain SET digest = :other WHERE stream_id = {audit} AND number = 3"], 3, "changed"),
    "a number": (["UPDATE chain SET number = 100 WHERE stream_id = {audit} AND number = 3"], 3, "removed"),
    "the newest link of the row": (["UPDATE streams SET link = 5 WHERE id = {audit}"], 6, "added"),
    "the newest link of the row, higher": (["UPDATE streams SET link = 9 WHERE id = {audit}"], 7, "removed"),
    "the digest of the row": (["UPDATE streams SET link_digest = :other WHERE id = {audit}"], 6, "changed"),
    "the id of the row": (["UPDATE streams SET link_id = 1 WHERE id = {audit}"], 6, "changed"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found_and_named(filled: Filled, what: str) -> None:
    statements, link, kind = TAMPERED[what]
    filled.change(*statements, **({"other": b"0" * 32} if ":other" in "".join(statements) else {}))
    found = filled.damaged()
    assert found[Api.AUDIT] == (link, kind)
    assert found[Api.ITEM_USAGE] is None


def test_one_changed_page_is_one_finding_with_what_is_known_of_it(filled: Filled) -> None:
    filled.change("UPDATE events SET body = '{{}}' WHERE id = {third[1]}")
    found = filled.prove()[Api.AUDIT]
    assert (found.links, found.events, found.damaged) == (6, 24, 1)
    assert found.first is not None
    ids, uuid = filled.ids(3), filled.ask(f"SELECT uuid FROM events WHERE id = {filled.ids(3)[1]}")[0][0]
    assert found.first.sentence == f"The uuid or the time of 1 event does not fit the body: {uuid}."
    (committed_ns,) = filled.ask("SELECT committed_ns FROM chain WHERE stream_id = {audit} AND number = 3")[0]
    assert (found.first.first_id, found.first.last_id, found.first.committed_ns) == (ids[0], ids[-1], committed_ns)
    times = [event(Api.AUDIT, n).time_ns for n in (6, 9)]
    assert [found.first.first_ns, found.first.last_ns] == times


def test_two_changed_pages_are_two_findings(filled: Filled) -> None:
    filled.change(
        "UPDATE events SET body = replace(body, 'é', 'e') WHERE id = {third[0]}",
        "UPDATE events SET body = replace(body, 'é', 'e') WHERE id = (SELECT max(id) FROM events)",
    )
    assert (filled.prove()[Api.AUDIT].damaged, filled.damaged()[Api.AUDIT]) == (2, (3, "changed"))


def test_a_last_link_that_its_row_does_not_know_either_is_one_finding(filled: Filled) -> None:
    filled.change("UPDATE chain SET digest = :other WHERE stream_id = {audit} AND number = 6", other=b"0" * 32)
    assert (filled.prove()[Api.AUDIT].damaged, filled.damaged()[Api.AUDIT]) == (1, (6, "changed"))


INSERT = "INSERT INTO events (id, stream_id, uuid, time_ns, received_ns, body) SELECT "


def test_an_event_is_put_in_a_free_place_of_a_page(filled: Filled) -> None:
    filled.change(
        "UPDATE events SET id = 1000 + id WHERE id >= {third[1]}",
        "UPDATE chain SET last_id = 1000 + last_id WHERE last_id >= {third[1]}",
        "UPDATE chain SET first_id = 1000 + first_id WHERE first_id >= {third[1]}",
        "UPDATE streams SET link_id = 1000 + link_id",
    )
    assert filled.damaged() == SOUND  # ids are not sealed: their order is
    filled.change(INSERT + "{third[0]} + 1, {audit}, 'more', 1, received_ns, '{{}}' FROM events WHERE id = {third[0]}")
    assert filled.damaged()[Api.AUDIT] == (3, "added")


@pytest.mark.parametrize(("after", "link"), [(2, 3), (6, 7)], ids=["between two", "after the last"])
def test_an_event_is_put_in_no_page(filled: Filled, after: int, link: int) -> None:
    (last_id,) = filled.ask(f"SELECT last_id FROM chain WHERE stream_id = {{audit}} AND number = {after}")[0]
    filled.change(
        f"DELETE FROM events WHERE id BETWEEN {last_id} + 1 AND {last_id} + 2",  # the place of another stream's page
        INSERT + f"{last_id} + 1, {{audit}}, 'more', 1, 1, '{{{{}}}}'",
    )
    found = filled.prove()[Api.AUDIT]
    assert found.first is not None
    assert (found.damaged, found.first.link, found.first.kind) == (1, link, "added")
    assert found.first.sentence.startswith("1 event that no link covers stands")


def test_the_last_pages_are_removed_and_the_row_is_adapted(filled: Filled) -> None:
    """What a chain alone cannot show: that is what checkpoints are for."""
    filled.change(
        f"DELETE FROM events WHERE stream_id = {{audit}} AND id >= (SELECT first_id FROM {CHAIN} = 5)",
        f"DELETE FROM {CHAIN} > 4",
        f"UPDATE streams SET link = 4, link_digest = (SELECT digest FROM {CHAIN} = 4), "
        f"link_id = (SELECT last_id FROM {CHAIN} = 4) WHERE id = {{audit}}",
    )
    assert filled.damaged() == SOUND


def test_only_the_links_are_removed_and_the_row_is_adapted(filled: Filled) -> None:
    filled.change(
        f"DELETE FROM {CHAIN} > 4",
        f"UPDATE streams SET link = 4, link_digest = (SELECT digest FROM {CHAIN} = 4), "
        f"link_id = (SELECT last_id FROM {CHAIN} = 4) WHERE id = {{audit}}",
    )
    assert filled.damaged()[Api.AUDIT] == (5, "added")


def prune_some(filled: Filled) -> None:
    """Every second event of every API, as `prune` does it, whatever their age."""
    for target in prune.targets(filled.engine):
        rows = filled.ask(f"SELECT id FROM events WHERE stream_id = {target.stream_id} AND id % 2 = 0")
        old = prune._digests(filled.engine, [row[0] for row in rows])
        assert prune._remove(filled.engine, target, prune.RetentionRule(2**62, 2**62), old) == len(rows) > 0


def test_pruned_events_leave_the_chain_whole(filled: Filled) -> None:
    prune_some(filled)
    assert filled.damaged() == SOUND
    found = filled.prove()[Api.AUDIT]
    assert found.events + found.pruned == 24
    assert found.pruned == filled.ask("SELECT count(*) FROM pruned_events WHERE stream_id = {audit}")[0][0] > 0


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE pruned_events SET digest = :other WHERE ", "changed"),
        ("UPDATE pruned_events SET uuid = 'other' WHERE ", "changed"),
        ("UPDATE pruned_events SET time_ns = time_ns + 1 WHERE ", "changed"),
        ("UPDATE pruned_events SET received_ns = received_ns + 1 WHERE ", "changed"),
        ("UPDATE pruned_events SET event_id = NULL WHERE ", "removed"),
        ("DELETE FROM pruned_events WHERE ", "removed"),
    ],
)
def test_what_stays_of_a_pruned_event_is_covered_too(filled: Filled, statement: str, kind: str) -> None:
    one = filled.ids(3)[1]
    target = next(one for one in prune.targets(filled.engine) if one.api == Api.AUDIT)
    prune._remove(filled.engine, target, prune.RetentionRule(2**62, 2**62), prune._digests(filled.engine, [one]))
    assert filled.damaged() == SOUND
    filled.change(f"{statement} event_id = {one}", **({"other": b"0" * 32} if ":other" in statement else {}))
    assert filled.damaged()[Api.AUDIT] == (3, kind)


def test_an_event_that_was_pruned_and_put_back_is_one_too_many(filled: Filled) -> None:
    prune_some(filled)
    one = filled.ask("SELECT min(event_id) FROM pruned_events WHERE stream_id = {audit}")[0][0]
    columns = "event_id, stream_id, uuid, time_ns, received_ns"
    filled.change(INSERT + f"{columns}, '{{{{}}}}' FROM pruned_events WHERE event_id = {one}")
    assert filled.damaged()[Api.AUDIT] == (1, "added")


def test_many_links_and_events_are_read_in_parts(
    engine: Engine, source: SourceRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_reader, "BATCH", 3)
    filled = fill(engine, [1, 2, 7, 1, 3, 1, 1, 4])
    prune_some(filled)
    read: list[int] = []
    found = verification.verify(engine, source.id, advance=read.append)
    assert [(one.links, one.events + one.pruned, one.first) for one in found] == [(8, 20, None)] * 3
    assert sum(read) == 60 == verification.count_events(engine, source.id)
    assert max(read) <= 6
    filled.change("UPDATE events SET body = '' WHERE id = (SELECT max(id) FROM events WHERE stream_id = {audit})")
    assert filled.damaged()[Api.AUDIT] == (8, "changed")


def test_a_long_run_of_pruned_events_is_read_in_parts(
    engine: Engine, source: SourceRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = fill(engine, [5, 5, 5, 5])
    for target in prune.targets(engine):
        rows = filled.ask(f"SELECT id FROM events WHERE stream_id = {target.stream_id} ORDER BY id LIMIT 18")
        old = prune._digests(engine, [row[0] for row in rows])
        prune._remove(engine, target, prune.RetentionRule(2**62, 2**62), old)
    monkeypatch.setattr(chain_reader, "BATCH", 4)
    assert {(one.events, one.pruned, one.damaged) for one in filled.prove().values()} == {(2, 18, 0)}


def test_what_was_stored_before_the_chain_began_is_counted_and_not_covered(filled: Filled) -> None:
    """A store of an older version: events without links."""
    filled.change("DELETE FROM chain", "UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL")
    assert {(one.links, one.events, one.uncovered) for one in filled.prove().values()} == {(0, 0, 24)}
    for api in Api:
        filled.commit(api, 3, known=2)
    prune_some(filled)
    filled.change("UPDATE pruned_events SET event_id = NULL WHERE event_id < (SELECT min(first_id) FROM chain)")
    assert {(one.links, one.events + one.pruned, one.uncovered) for one in filled.prove().values()} == {(1, 3, 24)}
    assert filled.damaged() == SOUND


def test_an_empty_store_is_sound(engine: Engine, source: SourceRecord) -> None:
    assert [(one.links, one.damaged) for one in verification.verify(engine, source.id)] == [(0, 0)] * 3


NONSENSE = {
    "no UTF-8 in a body": "UPDATE events SET body = CAST(x'ff' AS TEXT) WHERE id = {third[1]}",
    "no UTF-8 in a uuid": "UPDATE events SET uuid = CAST(x'ff' AS TEXT) WHERE id = {third[1]}",
    "no time": "UPDATE events SET time_ns = 'noon' WHERE id = {third[1]}",
    "half a nanosecond": "UPDATE events SET time_ns = time_ns + 0.5 WHERE id = {third[1]}",
    "no time of receipt": "UPDATE events SET received_ns = 'noon' WHERE id = {third[1]}",
    "no version": "UPDATE chain SET api_version = CAST(x'ff' AS TEXT) WHERE stream_id = {audit} AND number = 3",
    "a version with more behind it": "UPDATE chain SET api_version = CAST(x'7632006162' AS TEXT) "
    "WHERE stream_id = {audit} AND number = 3",
    "no number": "UPDATE chain SET number = 'three' WHERE stream_id = {audit} AND number = 3",
    "no first id": "UPDATE chain SET first_id = 'first' WHERE stream_id = {audit} AND number = 3",
    "no last id": "UPDATE chain SET last_id = 'last' WHERE stream_id = {audit} AND number = 3",
    "no count": "UPDATE chain SET events = 'four' WHERE stream_id = {audit} AND number = 3",
    "no time of commit": "UPDATE chain SET committed_ns = 'noon' WHERE stream_id = {audit} AND number = 3",
    "no digest": "UPDATE chain SET digest = 'none' WHERE stream_id = {audit} AND number = 3",
    "a row without a number": "UPDATE streams SET link = 'six' WHERE id = {audit}",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_sqlite_takes_in_any_column_is_found_and_no_damage(
    migrated_sqlite: Path, tmp_path: Path, what: str
) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'events.db'}")
    sources.save(engine, SOURCE)
    filled = fill(engine)
    filled.change(NONSENSE[what])
    found = filled.damaged()
    engine.dispose()
    assert found[Api.AUDIT] in {(3, "changed"), (3, "removed"), (6, "changed")}


COLUMNS = {
    "events": ("id", ["uuid", "time_ns", "received_ns", "body"]),
    "pruned_events": ("event_id", ["uuid", "time_ns", "received_ns", "digest"]),
    "chain": ("first_id", ["number", "last_id", "events", "api_version", "committed_ns", "digest"]),
}
PLACES = [(table, key, column) for table, (key, columns) in COLUMNS.items() for column in columns]
PLACES.append(("chain", "last_id", "first_id"))


def other(data: st.DataObject, column: str, value: Any) -> Any:
    """Another value of the same type."""
    if column == "number":  # of those that no link has
        return data.draw(st.integers(7, 2**62))
    if isinstance(value, int):
        return data.draw(st.integers(-(2**63), 2**63 - 1).filter(lambda drawn: drawn != value))
    place = data.draw(st.integers(0, len(value) - 1))
    if isinstance(value, str):
        letters = st.characters(exclude_categories=["Cs"], exclude_characters=["\0", value[place]])
        return value[:place] + data.draw(letters | st.just("")) + value[place + 1 :]
    return value[:place] + bytes([value[place] ^ data.draw(st.integers(1, 255))]) + value[place + 1 :]


@pytest.fixture
def half_pruned(filled: Filled) -> Filled:
    prune_some(filled)
    return filled


@given(data=st.data(), api=st.sampled_from(list(Api)), where=st.sampled_from(PLACES))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_single_change_is_found_in_its_link(
    half_pruned: Filled, data: st.DataObject, api: Api, where: tuple[str, str, str]
) -> None:
    table, key, column = where
    of_stream = f"stream_id = {half_pruned.id_of(api)}"
    rows = half_pruned.ask(f"SELECT {key}, {column} FROM {table} WHERE {of_stream} ORDER BY {key}")
    at, value = data.draw(st.sampled_from([tuple(map(as_bytes, row)) for row in rows]))
    ranges = half_pruned.ask(f"SELECT number FROM chain WHERE {of_stream} AND {at} BETWEEN first_id AND last_id")
    changed = f"UPDATE {table} SET {column} = :value WHERE {of_stream} AND {key} = {at}"
    try:
        half_pruned.change(changed, value=other(data, column, value))
    except IntegrityError:  # another row has that uuid: the database does not let anyone change it so
        reject()
    try:
        found = half_pruned.prove()
    finally:
        half_pruned.change(changed, value=value)
    first = found.pop(api).first
    assert first is not None
    assert first.link == ranges[0][0]
    assert [one.first for one in found.values()] == [None, None]


@pytest.mark.parametrize("column", ["first_id", "last_id"])
@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_an_id_at_the_end_of_what_there_can_be_is_a_finding(filled: Filled, column: str, value: int) -> None:
    of_stream = f"stream_id = {filled.id_of(Api.AUDIT)}"
    filled.change(f"UPDATE chain SET {column} = :value WHERE {of_stream} AND number = 1", value=value)
    found = filled.prove()
    assert found[Api.AUDIT].first is not None
    assert found[Api.AUDIT].first.link == 1


def as_bytes(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_what_is_no_utf8_is_not_taken_for_the_sign_that_stands_for_it(migrated_sqlite: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'events.db'}")
    sources.save(engine, SOURCE)
    filled = fill(engine, [])
    own = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert own
    page = Page("c1", has_more=False, events=[Event("a\ufffd", 1, "{}")], invalid_items=[])
    pages.commit_page(engine, own, page, after=None, api_version="v2")
    assert filled.damaged() == SOUND
    filled.change("UPDATE events SET uuid = CAST(x'61ff' AS TEXT)")
    assert filled.damaged()[Api.AUDIT] == (1, "changed")
    engine.dispose()


def test_a_version_that_swallows_a_time_is_not_read() -> None:
    """Where a NUL were taken in a version, other times and uuids would have the same digest."""
    first, second, bodies = int.from_bytes(b"AAAAAAA\0"), 7, [b"x" * 32, b"y" * 32]
    digest = link_digest(ORIGIN, 1, "v2", 5, ["ABCDEFGHx", "y"], [first, second], bodies)
    times = [second, int.from_bytes(b"ABCDEFGH")]
    assert digest == link_digest(ORIGIN, 1, "v2\0AAAAAAA", 5, ["x", "y"], times, bodies)
    assert chain_reader.StoredLink(1, 1, 2, 2, "v2", 5, digest).readable
    assert not chain_reader.StoredLink(1, 1, 2, 2, "v2\0AAAAAAA", 5, digest).readable


# Commits pages, in all three streams and in windows, until it gets a signal.
COLLECTOR = """
import sys, threading, time
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.engine import open_engine
from support.chains import event

engine = open_engine(sys.argv[1])
views = {view.api: view for view in streams.of_source(engine, sys.argv[2], tuple(Api))}
held = {api: streams.acquire(engine, views[api], "collector", by_force=True) for api in Api}
cursors = {api: view.cursor for api, view in views.items()}
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
number = 10_000
while not over.is_set():
    for api in Api:
        events = [event(api, n) for n in range(number, number + 20)]
        page = Page(f"n{number}", has_more=True, events=events, invalid_items=[])
        pages.commit_page(engine, held[api], page, after=cursors[api], api_version="v2")
        cursors[api] = page.cursor
    number += 15  # some are known
    if number == 10_000 + 15 * 3:
        print("ready", flush=True)
    time.sleep(0.05)
print(number, flush=True)
"""
# Prunes in small batches what is older than 400 days.
PRUNER = """
import sys, time
from blocks.store import prune
from blocks.store.engine import open_engine

prune.BATCH = 20
engine = open_engine(sys.argv[1])
print("ready", flush=True)
for target in prune.targets(engine):
    for _ in prune.prune(engine, target, prune.parse_rule("400d"), wait=lambda seconds: time.sleep(0.05)):
        pass
"""


@pytest.mark.processes
def test_collection_and_retention_at_the_same_time_are_no_damage(
    engine: Engine, source: SourceRecord, store_url: str, moving: MovingClock
) -> None:
    moving.advance((clock.SystemClock().now_ns() - moving.now_ns()) / 1e9 - 500 * 86_400)
    filled = fill(engine, [30] * 5)
    for api in Api:
        streams.release(engine, filled.claims[api])
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    collect = [sys.executable, "-c", COLLECTOR, store_url, source.id]
    begun = subprocess.PIPE
    with (
        subprocess.Popen(collect, stdin=begun, stdout=begun, text=True, env=env) as collector,
        subprocess.Popen([sys.executable, "-c", PRUNER, store_url], stdout=begun, text=True, env=env) as pruner,
    ):
        assert collector.stdout
        assert pruner.stdout
        assert collector.stdout.readline() == pruner.stdout.readline() == "ready\n"
        walks, pruned, kept = 0, set(), []
        while pruner.poll() is None or walks < 3:
            kept.append(checkpoints.current(engine, source.id))
            proofs = verification.verify(engine, source.id, link_numbers=checkpoints.links_of(kept))
            assert [one.first for one in proofs] == [None] * 3
            assert all(one.matches for one in checkpoints.compare(kept, source.id, proofs))
            pruned.add(sum(one.pruned for one in proofs))
            walks += 1
        collected = int(collector.communicate("")[0])
        assert pruner.wait() == 0
    assert collected > 10_045
    assert len(pruned) > 2  # it was looked at while some were gone
    assert {one.pruned for one in filled.prove().values()} == {150}
    assert filled.damaged() == SOUND


def test_thousands_of_events_of_every_origin_are_sound(engine: Engine, source: SourceRecord) -> None:
    """Live pages in turns, windows that read the same span between them, known events, quarantine, retention."""
    filled = fill(engine, [700, 1, 0, 300])
    span = (START_NS, START_NS + 86_400 * 10**9)
    job = jobs.start(engine, jobs.JobRequest(jobs.BACKFILL, source.id, tuple(Api), *span), 86_400 * 10**9)
    while claim := windows.acquire(engine, job.id, "backfill"):
        numbers = [*range(500, 900), *range(5000, 5600)]  # known, never seen, and what live collection brings next
        page = Page("w1", has_more=False, events=[event(claim.api, n) for n in numbers], invalid_items=[])
        windows.commit_page(engine, claim, page, after=None, api_version="v1", last=True)
        filled.commit(claim.api, 40, known=30, rejected=1)
    prune_some(filled)
    for api in Api:
        filled.commit(api, 60)
    found = filled.prove().values()
    assert {(one.links, one.events + one.pruned, one.uncovered) for one in found} == {(6, 1701, 0)}
    assert filled.damaged() == SOUND
