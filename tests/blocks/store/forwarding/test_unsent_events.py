"""What is after a position is read whole, in order, by the key alone, and cut into the same batches again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import text
from support.chains import Filled, event
from support.forwarding import chunks
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.events_api.models import Api, Page
from blocks.events_api.models import Event as ReadEvent
from blocks.siem.formats.event import OutgoingEvent
from blocks.store import engine as engine_module
from blocks.store import pages, schema, sources
from blocks.store.engine import is_sqlite, open_engine
from blocks.store.forwarding import unsent_events
from blocks.store.forwarding.unsent_events import (
    GRACE_NS,
    HOUR_NS,
    EventBatch,
    UnsentEvents,
    batches,
    first_since,
    hours,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

SIZES = (5, 1, 4, 6, 3, 5)


def behind(filled: Filled, after_id: int = 0, api: Api = Api.AUDIT) -> UnsentEvents:
    return UnsentEvents(filled.engine, filled.id_of(api), after_id)


def all_of(events: UnsentEvents) -> list[OutgoingEvent]:
    found = []
    while events.peek() is not None:
        found.append(events.take())
    return found


def stored(filled: Filled, api: Api = Api.AUDIT) -> list[tuple[Any, ...]]:
    query = f"SELECT id, uuid, time_ns, received_ns, body FROM events WHERE stream_id = {filled.id_of(api)} ORDER BY id"
    return filled.ask(query)


def ids(found: Sequence[EventBatch]) -> list[list[int]]:
    return [[one.id for one in batch.events] for batch in found]


def hourly_ids(events: UnsentEvents, size: int) -> list[list[int]]:
    return [[one.id for chunk in hour.events() for one in chunk] for hour in hours(events, size)]


@pytest.mark.parametrize(("near", "most", "links"), [(0, 1, 1), (3, 2, 2), (1000, 2000, 500), (0, 2000, 2)])
def test_from_any_position_all_that_is_behind_it_comes_once_and_in_order(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, near: int, most: int, links: int
) -> None:
    monkeypatch.setattr(unsent_events, "NEAR", near)
    monkeypatch.setattr(unsent_events, "MOST", most)
    monkeypatch.setattr(unsent_events, "LINKS", links)
    monkeypatch.setattr(unsent_events, "SPAN", most * 3)
    for api in Api:
        rows = stored(filled, api)
        for after in [0, *(row[0] for row in rows), rows[-1][0] + 1]:
            assert [structs.astuple(one) for one in all_of(behind(filled, after, api))] == [
                row for row in rows if row[0] > after
            ]


@pytest.mark.parametrize("octets", [1, 100, 250])
def test_however_little_is_read_at_once_all_of_it_comes_in_order(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    monkeypatch.setattr(unsent_events, "READ_BYTES", octets)
    monkeypatch.setattr(unsent_events, "BODY", 90)
    assert [structs.astuple(one) for one in all_of(behind(filled))] == stored(filled)


def test_what_is_read_at_once_is_bounded_by_the_length_of_the_bodies(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "ROWS_MAX", 2)
    filled.change(f"UPDATE events SET body = :large WHERE stream_id = {filled.id_of(Api.AUDIT)}", large="x" * 300_000)
    events, most = behind(filled), 0
    while events.peek() is not None:
        most = max(most, sum(len(one.body) for one in events._ready))
        events.take()
    assert 300_000 < most <= unsent_events.READ_BYTES + 2 * 300_000


def test_a_batch_ends_where_its_bodies_are_long_enough(filled: Filled) -> None:
    rows = stored(filled)
    size = len(rows[0][4])
    assert ids(list(batches(behind(filled), 100, octets=lambda: 2 * size))) == chunks([row[0] for row in rows], 2)
    assert ids(list(batches(behind(filled), 100, octets=lambda: 1))) == chunks([row[0] for row in rows], 1)
    assert ids(list(batches(behind(filled), 100, [rows[4][0]], octets=lambda: 1)))[0] == [row[0] for row in rows[:5]]


def test_events_taken_from_a_batch_are_not_kept_there(filled: Filled) -> None:
    (batch,) = batches(behind(filled), 100)
    assert [one.id for one in batch.take()] == [row[0] for row in stored(filled)]
    assert batch.events == ()
    assert (batch.first_id, batch.last_id) == (stored(filled)[0][0], stored(filled)[-1][0])


def test_a_stream_without_events_has_none(engine: Engine, source: sources.SourceRecord) -> None:
    assert all_of(behind(Filled(engine))) == []


def test_what_is_committed_meanwhile_comes_too(filled: Filled) -> None:
    events = behind(filled)
    before = all_of(events)
    filled.commit(Api.AUDIT, 3)
    assert [structs.astuple(one) for one in [*before, *all_of(events)]] == stored(filled)


def test_pruned_events_are_passed_over(filled: Filled) -> None:
    pruned = [*filled.ids(1), *filled.ids(3)[1:3], *filled.ids(6)]
    _prune(filled, pruned)
    assert [one.id for one in all_of(behind(filled))] == [row[0] for row in stored(filled)]
    assert not set(pruned) & {one.id for one in all_of(behind(filled))}


def _prune(filled: Filled, pruned: Sequence[int]) -> None:
    with filled.engine.begin() as connection:
        for id_ in pruned:
            connection.execute(
                text(
                    "INSERT INTO pruned_events (stream_id, uuid, event_id, time_ns, received_ns, digest) "
                    "SELECT stream_id, uuid, id, time_ns, received_ns, :digest FROM events WHERE id = :id"
                ),
                {"id": id_, "digest": b""},
            )
            connection.execute(text("DELETE FROM events WHERE id = :id"), {"id": id_})
        counts = "UPDATE streams SET events = events - :n, pruned = pruned + :n WHERE id = :stream"
        connection.execute(text(counts), {"n": len(pruned), "stream": filled.id_of(Api.AUDIT)})


# Events that were stored before there was a chain


def _unlink(filled: Filled, links: int) -> None:
    """As where the first pages of a stream came before there was a chain."""
    of_audit = f"stream_id = {filled.id_of(Api.AUDIT)}"
    filled.change(
        f"DELETE FROM chain WHERE {of_audit} AND number <= {links}",
        f"UPDATE chain SET number = number - {links} WHERE {of_audit} AND number > {links}",
        "UPDATE streams SET link = CASE WHEN link > :n THEN link - :n ELSE 0 END, "
        f"link_id = (SELECT max(last_id) FROM chain WHERE {of_audit}) WHERE id = {filled.id_of(Api.AUDIT)}",
        n=links,
    )


@pytest.mark.parametrize("links", [1, 3, len(SIZES)])
def test_events_without_links_come_too_and_then_it_ends(filled: Filled, links: int) -> None:
    _unlink(filled, links)
    rows = stored(filled)
    for after in [0, *(row[0] for row in rows)]:
        assert [one.id for one in all_of(behind(filled, after))] == [row[0] for row in rows if row[0] > after]


def test_without_links_and_pruned_in_part(filled: Filled) -> None:
    _unlink(filled, 3)
    _prune(filled, [row[0] for row in stored(filled)][:7])
    assert [one.id for one in all_of(behind(filled))] == [row[0] for row in stored(filled)]


def test_a_store_of_an_older_version_is_read_whole(empty_url: str) -> None:
    engine = open_engine(empty_url)
    schema.upgrade(engine, to="0004")
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sources (id, name, fields, base_url, apis, api_version, fingerprint, state, "
                "state_message, created_ns) VALUES (:id, '1Pass', '{}', 'https://x', '[]', 'v2', 'f', '', '', 1)"
            ),
            {"id": SOURCE.id},
        )
        for api in Api:
            values = {"source": SOURCE.id, "api": str(api)}
            insert = "INSERT INTO streams (source_id, api, events) VALUES (:source, :api, 0)"
            connection.execute(text(insert), values)
        for number in range(30):
            insert = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :n, :n, '{}')"
            connection.execute(text(insert), {"s": number % 3 + 1, "u": f"old-{number}", "n": number})
        connection.execute(text("UPDATE streams SET events = 10"))
    schema.upgrade(engine)
    filled = Filled(engine)
    for api in Api:
        filled.id_of(api)
    for new in (0, 3):
        if new:
            filled.commit(Api.AUDIT, new)
        for api in Api:
            assert [structs.astuple(one) for one in all_of(behind(filled, api=api))] == stored(filled, api)
    engine.dispose()


# Batches


def test_batches_hold_so_many_events_and_the_last_one_the_rest(filled: Filled) -> None:
    all_ids = [row[0] for row in stored(filled)]
    assert ids(list(batches(behind(filled), 7))) == chunks(all_ids, 7)


def test_planned_batches_end_as_planned_whatever_has_come_since(filled: Filled) -> None:
    all_ids = [row[0] for row in stored(filled)]
    before = list(batches(behind(filled), 7))
    filled.commit(Api.AUDIT, 50)
    plan = [batch.last_id for batch in before]
    again = list(batches(behind(filled), 7, plan))
    assert ids(again)[: len(before)] == ids(before)
    assert ids(again)[len(before) :] == chunks([row[0] for row in stored(filled)][len(all_ids) :], 7)


def test_a_planned_batch_that_was_pruned_is_passed_over(filled: Filled) -> None:
    all_ids = [row[0] for row in stored(filled)]
    plan = [all_ids[3], all_ids[7], all_ids[11]]
    _prune(filled, all_ids[4:8])
    assert ids(list(batches(behind(filled), 100, plan))) == [all_ids[:4], all_ids[8:12], all_ids[12:]]


def test_a_batch_that_was_pruned_in_part_keeps_its_end(filled: Filled) -> None:
    all_ids = [row[0] for row in stored(filled)]
    plan = [all_ids[5], all_ids[9]]
    _prune(filled, all_ids[4:6])
    assert ids(list(batches(behind(filled), 100, plan)))[:2] == [all_ids[:4], all_ids[6:10]]


@pytest.fixture
def growing(engine: Engine, source: sources.SourceRecord) -> Filled:
    return Filled(engine)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(1, 9), st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plan_and_any_later_pages_make_batches_of_all_events(
    growing: Filled, sizes: list[int], size: int, data: st.DataObject
) -> None:
    start = max((row[0] for row in stored(growing)), default=0)
    for new in sizes:
        growing.commit(Api.AUDIT, new)
        growing.commit(Api.SIGN_IN, 1)
    new_ids = [row[0] for row in stored(growing) if row[0] > start]
    plan = [new_ids[place] for place in sorted(data.draw(st.sets(st.integers(0, sum(sizes) - 1), max_size=4)))]
    found = ids(list(batches(behind(growing, start), size, plan)))
    assert [id_ for batch in found for id_ in batch] == new_ids
    assert [batch[-1] for batch in found][: len(plan)] == plan
    assert all(len(batch) <= size for batch in found[len(plan) :])


# Hours


def _commit_at(filled: Filled, moving: MovingClock, ns: int, new: int = 2) -> None:
    moving.advance((ns - moving.now_ns()) / 1e9)
    filled.commit(Api.AUDIT, new)


HOUR_0 = 500_000 * HOUR_NS


@pytest.fixture
def hourly(engine: Engine, source: sources.SourceRecord, moving: MovingClock) -> Filled:
    """Two events of an hour, two more of it, four of the next one, at half past that."""
    filled = Filled(engine)
    for minutes in (1, 59, 61, 90):
        _commit_at(filled, moving, HOUR_0 + minutes * 60 * 10**9)
    return filled


def test_an_hour_that_is_over_is_one_batch_and_an_open_one_is_left(hourly: Filled) -> None:
    all_ids = [row[0] for row in stored(hourly)]
    assert hourly_ids(behind(hourly), 100) == [all_ids[:4]]


def test_an_hour_is_over_some_time_after_its_end(hourly: Filled, moving: MovingClock) -> None:
    end_ns = HOUR_0 + 2 * HOUR_NS + GRACE_NS
    all_ids = [row[0] for row in stored(hourly)]
    moving.advance((end_ns - 1 - moving.now_ns()) / 1e9 - 1e-3)
    assert hourly_ids(behind(hourly), 100) == [all_ids[:4]]
    moving.advance(0.01)
    assert hourly_ids(behind(hourly), 100) == [all_ids[:4], all_ids[4:]]


def test_an_hour_that_is_too_large_is_cut_and_cut_so_again_whatever_comes_later(
    hourly: Filled, moving: MovingClock
) -> None:
    """The names of an archive's objects are those of their first events: cut elsewhere, two objects would overlap."""
    all_ids = [row[0] for row in stored(hourly)]
    assert hourly_ids(behind(hourly), 3) == [all_ids[:3], all_ids[3:4], all_ids[4:7]]
    _commit_at(hourly, moving, moving.now_ns() + 60 * 10**9, 5)
    moving.advance(7200)
    more = [row[0] for row in stored(hourly)]
    assert hourly_ids(behind(hourly), 3) == [more[:3], more[3:4], more[4:7], more[7:10], more[10:13]]


def test_an_hour_begins_again_with_half_of_what_was_taken(hourly: Filled) -> None:
    all_ids = [row[0] for row in stored(hourly)]
    (hour, *_) = hours(behind(hourly), 100)
    assert [one.id for chunk in hour.events() for one in chunk] == all_ids[:4]
    for number in (2, 1, 1):
        hour.halve()
        assert [one.id for chunk in hour.events() for one in chunk] == all_ids[:number]
        assert (hour.first_id, hour.last_id, hour.count) == (all_ids[0], all_ids[number - 1], number)


def test_what_is_not_taken_of_an_hour_is_the_next_one(hourly: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent_events, "CHUNK", 3)
    all_ids = [row[0] for row in stored(hourly)]
    batches_read = [[one.id for one in next(hour.events())] for hour in hours(behind(hourly), 100)]
    assert batches_read == [all_ids[:3], all_ids[3:4]]


def test_an_event_that_is_committed_late_makes_a_batch_of_its_own(hourly: Filled, moving: MovingClock) -> None:
    """A transaction took the time before the hour's end, and ended long after it."""
    all_ids = [row[0] for row in stored(hourly)]
    _commit_at(hourly, moving, HOUR_0 + 59 * 60 * 10**9)
    late = [row[0] for row in stored(hourly)][-2:]
    moving.advance(3 * 3600)
    assert hourly_ids(behind(hourly), 100) == [all_ids[:4], all_ids[4:], late]


def test_where_the_clock_was_set_back_nothing_is_held_up_and_all_of_it_comes(
    engine: Engine, source: sources.SourceRecord, moving: MovingClock
) -> None:
    filled = Filled(engine)
    _commit_at(filled, moving, HOUR_0 + 500 * HOUR_NS)
    _commit_at(filled, moving, HOUR_0)
    all_ids = [row[0] for row in stored(filled)]
    assert hourly_ids(behind(filled), 100) == [all_ids[:2]]
    moving.advance(2 * 3600)
    assert hourly_ids(behind(filled), 100) == [all_ids[:2], all_ids[2:]]


# The first event since a time


@pytest.mark.parametrize("unlinked", [0, 2, len(SIZES)])
def test_the_first_event_since_a_time(
    engine: Engine, source: sources.SourceRecord, moving: MovingClock, unlinked: int
) -> None:
    filled = Filled(engine)
    for size in SIZES:
        filled.commit(Api.SIGN_IN, 2)
        filled.commit(Api.AUDIT, size)
        moving.advance(60)
    if unlinked:
        _unlink(filled, unlinked)
    rows = stored(filled)
    with engine.connect() as connection:
        for time_ns in sorted({row[3] + more for row in rows for more in (-1, 0, 1)}):
            first = next((row[0] for row in rows if row[3] >= time_ns), None)
            assert first_since(connection, filled.id_of(Api.AUDIT), time_ns) == first


# What the database does for it


@pytest.fixture
def large(engine: Engine, source: sources.SourceRecord) -> Filled:
    """Two streams that take turns, and a quiet one."""
    filled = Filled(engine)
    filled.commit(Api.ITEM_USAGE, 3)
    for _ in range(20):
        for api in (Api.AUDIT, Api.SIGN_IN):
            filled.commit(api, 1000)
    return filled


def test_no_read_goes_through_a_whole_stream_or_table_or_sorts(large: Filled) -> None:
    plans = _plans(large, Api.AUDIT)
    assert plans
    for plan in plans:
        if is_sqlite(large.engine):
            assert "SCAN events" not in plan
            assert "TEMP B-TREE" not in plan
            if "events" in plan.replace("events_by_time", ""):
                assert "USING INTEGER PRIMARY KEY" in plan
        else:
            assert "Seq Scan on events" not in plan


def _plans(filled: Filled, api: Api) -> list[str]:
    """The plan of each query with which a stream is read from its start."""
    from sqlalchemy import event as listening

    found: list[str] = []
    prefix = "EXPLAIN QUERY PLAN " if is_sqlite(filled.engine) else "EXPLAIN "

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if (statement.startswith("SELECT") and " FROM chain" in statement) or " FROM events" in statement:
            cursor.execute(prefix + statement, parameters)
            found.append("\n".join(str(row) for row in cursor.fetchall()))

    if not is_sqlite(filled.engine):
        with filled.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    listening.listen(filled.engine, "before_cursor_execute", explain)
    all_of(behind(filled, 0, api))
    listening.remove(filled.engine, "before_cursor_execute", explain)
    return found


def test_a_quiet_stream_is_not_looked_for_among_the_others(large: Filled) -> None:
    """Where nothing is new, no event is looked at; nor those before the first page of a younger stream."""
    from sqlalchemy import event as listening

    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    last = stored(large, Api.ITEM_USAGE)[-1][0]
    listening.listen(large.engine, "before_cursor_execute", note)
    assert all_of(behind(large, last, Api.ITEM_USAGE)) == []
    assert not [one for one in statements if " FROM events" in one]
    reads = all_of(behind(large, 0, Api.ITEM_USAGE))
    listening.remove(large.engine, "before_cursor_execute", note)
    assert len(reads) == 3
    # PostgreSQL's cursor is opened by the driver itself, so only SQLite's statement is seen here.
    assert len([one for one in statements if "FROM events" in one]) == (1 if is_sqlite(large.engine) else 0)


# Writers at once


def test_beside_writers_nothing_is_passed_over(engine: Engine, source: sources.SourceRecord) -> None:
    """Three streams are written at once, so their ids interleave; who follows them reads each event once, in order."""
    filled = Filled(engine)
    claims = {api: filled._claim(api) for api in Api}
    written = threading.Event()

    def write(api: Api) -> None:
        cursor = None
        for number in range(25):
            events: list[ReadEvent] = [event(api, number * 7 + n) for n in range(7)]
            page = Page(f"{api}{number}", has_more=True, events=events, invalid_items=[])
            pages.commit_page(engine, claims[api], page, after=cursor, api_version="v2")
            cursor = page.cursor

    writers = [threading.Thread(target=write, args=(api,)) for api in Api]
    for writer in writers:
        writer.start()
    followed = {api: UnsentEvents(engine, claims[api].stream_id, 0) for api in Api}
    read: dict[Api, list[int]] = {api: [] for api in Api}
    while not written.is_set():
        if not any(writer.is_alive() for writer in writers):
            written.set()  # and again
        for api in Api:
            read[api] += [one.id for one in all_of(followed[api])]
        time.sleep(0.001)  # SQLite's one connection goes to the first that comes: else to this loop, again and again
    for writer in writers:
        writer.join()
    for api in Api:
        assert read[api] == [row[0] for row in stored(filled, api)]
        assert len(read[api]) == 25 * 7


def test_batches_know_their_ends() -> None:
    batch = EventBatch([OutgoingEvent(3, "a", 1, 1, "{}"), OutgoingEvent(9, "b", 1, 1, "{}")])
    assert (batch.first_id, batch.last_id) == (3, 9)


def test_a_row_that_the_database_cannot_give_is_an_error_of_the_store(filled: Filled) -> None:
    """It comes in the middle of the rows, from the driver and not from SQLAlchemy."""
    if not is_sqlite(filled.engine):
        pytest.skip("PostgreSQL has all rows before the first one is looked at")
    last = stored(filled)[-1][0]
    filled.change(f"UPDATE events SET body = CAST('Ann Example ' || x'ff' AS TEXT) WHERE id = {last}")
    with pytest.raises(FirstPartyGenericError, match="The store did not answer: Could not decode to UTF-8") as caught:
        all_of(behind(filled))
    assert "Ann" not in str(caught.value)
