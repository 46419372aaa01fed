"""Restart, pause, rename, delete and purge in the store, on both databases; a purge that is killed goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from support.forwarding import Pair
from support.values import SOURCE

from blocks import clock
from blocks.errors import ClaimLostError, ThirdPartyConfigError
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.health import ERROR, Condition
from blocks.store import health, lifecycle, pages, source_status, sources, streams
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.engine import is_sqlite, open_engine, writing
from blocks.store.forwarding import positions

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.lifecycle import SourceIdentity

OTHER = replace(SOURCE, id="0" * 31 + "2", name="other")
MARKER = "text-that-deletion-must-remove"


def fill(engine: Engine, source: sources.SourceRecord, number: int = 2500) -> None:
    """So many sign-ins and one item in quarantine; one sign-in that a view cannot show as it is."""
    sources.save(engine, source)
    view = streams.of_source(engine, source.id, (Api.SIGN_IN,))[0]
    claim = streams.acquire(engine, view, "filler")
    assert claim
    events = [Event(f"e{n}", n, f'{{"uuid":"e{n}","who":"{MARKER}"}}') for n in range(number)]
    events.append(Event("odd", 7, '{"uuid":"odd","who":"\\ud800"}'))
    page = Page("c1", has_more=False, events=events, invalid_items=[InvalidItem("no uuid", MARKER.encode())])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")
    streams.release(engine, claim)


def identity(engine: Engine, name: str = "1Pass") -> SourceIdentity:
    found = lifecycle.find(engine, name)
    assert found
    return found


def records(rows: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """What was done to sources after they were made."""
    found = rows("SELECT action, source_name, details FROM audit_log WHERE action <> 'create' ORDER BY id")
    return [(action, name, json.loads(details)) for action, name, details in found]


def delete(engine: Engine, name: str = "1Pass") -> SourceIdentity:
    lifecycle.begin_deletion(engine, identity(engine, name))
    lifecycle.finish_deletion(engine, identity(engine, name))
    return identity(engine, name)


def test_a_restart_forgets_the_errors_and_takes_the_claims(
    engine: Engine, claim: streams.StreamClaim, rows: Any
) -> None:
    streams.stop(engine, claim, ThirdPartyConfigError("no", code="401"), "first")
    sources.save_state(engine, SOURCE.id, "ThirdPartyConfigError", "no", "run-1")
    stream_claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run-2")
    assert stream_claim
    assert streams.are_claimed(engine, SOURCE.id)
    lifecycle.restart(engine, identity(engine))
    assert not streams.are_claimed(engine, SOURCE.id)
    assert rows("SELECT count(*) FROM streams WHERE error_type IS NOT NULL") == [(0,)]
    assert not source_status.sources(engine, "1Pass")[0].in_error
    with pytest.raises(ClaimLostError):
        streams.renew(engine, stream_claim)
    assert records(rows) == [("restart", "1Pass", {})]


def test_a_claim_that_has_expired_delays_no_run(
    engine: Engine, claim: streams.StreamClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = clock.now_ns()
    monkeypatch.setattr(clock, "now_ns", lambda: now_ns + CLAIM_NS + 10**9)
    assert not streams.are_claimed(engine, SOURCE.id)


def test_a_pause_is_noted_once_and_ended_once(engine: Engine, source: sources.SourceRecord, rows: Any) -> None:
    for _ in range(2):
        lifecycle.pause(engine, identity(engine))
    assert identity(engine).paused_ns
    for _ in range(2):
        lifecycle.resume(engine, identity(engine))
    assert identity(engine).paused_ns is None
    assert [action for action, _, _ in records(rows)] == ["stop", "start"]


def test_a_renamed_source_keeps_its_id_and_a_run_cannot_name_it_back(
    engine: Engine, source: sources.SourceRecord, rows: Any
) -> None:
    lifecycle.rename(engine, identity(engine), "acme", paused=True)
    sources.save(engine, SOURCE)
    renamed = identity(engine, "acme")
    assert (renamed.id, renamed.paused_ns is not None) == (SOURCE.id, True)
    assert lifecycle.former_name(engine, SOURCE.id) == "1Pass"
    lifecycle.finish_renaming(engine, renamed)
    assert lifecycle.former_name(engine, SOURCE.id) is None
    assert records(rows)[0] == ("rename", "1Pass", {"new_name": "acme"})


def test_a_deleted_source_keeps_its_events_and_is_written_no_more(engine: Engine, rows: Any) -> None:
    fill(engine, SOURCE, 3)
    stream_claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert stream_claim
    with writing(engine) as connection:
        health.begin(connection, SOURCE.id, Condition("error", "ThirdPartyConfigError", ERROR, "It is so."))
    lifecycle.begin_deletion(engine, identity(engine))
    assert rows("SELECT state FROM sources") == [("Stopping",)]
    deleted = delete(engine)
    sources.save_state(engine, SOURCE.id, "Stopped", "the last word of a run", "run")
    assert rows("SELECT state FROM sources") == [("Deleted",)]
    assert health.open_conditions(engine, SOURCE.id) == {}
    with pytest.raises(ClaimLostError):
        streams.renew(engine, stream_claim)
    with pytest.raises(ThirdPartyConfigError, match=r"was deleted\. `onepassword-source apply FILE` creates it again"):
        sources.save(engine, SOURCE)
    assert (lifecycle.count_events(engine, SOURCE.id), source_status.sources(engine)) == (4, [])
    assert [source.name for source in source_status.sources(engine, with_deleted=True)] == ["1Pass"]
    lifecycle.finish_deletion(engine, deleted)
    assert [action for action, _, _ in records(rows)] == ["delete"], "once, however often it is called"


@pytest.mark.parametrize("ending", ["delete", "purge"])
def test_a_run_that_forwards_a_source_sends_no_more_of_it(engine: Engine, ending: str) -> None:
    pair = Pair.create(engine)
    pair.filled.commit(Api.AUDIT, 2)
    if ending == "purge":
        delete(engine)
        with engine.begin() as connection:  # as by a run of an earlier version
            connection.execute(text("UPDATE sources SET deleted_ns = NULL"))
    stream_claim = pair.claim()
    if ending == "delete":
        positions.record_failure(engine, stream_claim, ThirdPartyConfigError("no"))
        delete(engine)
    else:
        with engine.begin() as connection:
            connection.execute(text("UPDATE sources SET deleted_ns = 1"))
        lifecycle._begin_purge(engine, identity(engine))
    with pytest.raises(ClaimLostError):
        positions.advance(engine, stream_claim, None, [])
    assert (pair.view().claim_expires_ns, pair.view().error_type) == (None, None)


def test_a_deleted_source_comes_back_with_its_cursors(engine: Engine) -> None:
    fill(engine, SOURCE, 3)
    delete(engine)
    sources.save(engine, SOURCE, revive=True)
    assert identity(engine).deleted_ns is None
    (status,) = source_status.sources(engine)
    assert (status.state, sum(stream.events for stream in status.streams)) == ("Pending", 4)
    assert streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0].cursor == "c1"


def test_a_purge_removes_all_but_its_record_and_the_other_source(engine: Engine, rows: Any) -> None:
    fill(engine, SOURCE)
    fill(engine, OTHER, 3)
    sizes: list[int] = []
    details = lifecycle.purge(engine, delete(engine), sizes.append)
    assert details["apis"]["sign-in"] == {
        "events": 2501,
        "first": "1970-01-01T00:00:00Z",
        "last": "1970-01-01T00:00:00.000002499Z",
        "quarantined": 1,
        "pruned_before": 0,
    }
    assert sum(sizes) >= 2502
    assert max(sizes) <= lifecycle.BATCH
    assert rows("SELECT name FROM sources") == [("other",)]
    assert rows("SELECT count(*) FROM streams") == [(3,)]
    for table, kept in (("events", 4), ("quarantine", 1), ("legible_bodies", 1)):
        assert rows(f"SELECT count(*) FROM {table}") == [(kept,)]
    assert [(action, found) for action, _, found in records(rows)] == [
        ("delete", {}),
        ("purge", details),
        ("purged", details),
    ]
    with pytest.raises(ThirdPartyConfigError, match="was deleted"):
        sources.save(engine, SOURCE)


def test_nothing_of_a_purged_event_is_left_in_the_file(engine: Engine) -> None:
    if not is_sqlite(engine):
        pytest.skip("PostgreSQL's vacuum does that in its own time")
    fill(engine, SOURCE)
    lifecycle.purge(engine, delete(engine))
    files = [Path(str(engine.url.database) + end) for end in ("", "-wal")]
    assert not any(MARKER.encode() in file.read_bytes() for file in files if file.exists())


class KilledError(Exception):
    """The process ends here."""


def test_a_purge_that_is_killed_at_any_statement_goes_on_and_counts_once(
    engine: Engine, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, SOURCE, 40)
    monkeypatch.setattr(lifecycle, "BATCH", 25)
    deleted, remaining = delete(engine), [0]

    def count_down(*_: object) -> None:
        remaining[0] -= 1
        if remaining[0] == 0:
            raise KilledError

    event.listen(engine, "before_cursor_execute", count_down)
    kills, going = 0, lifecycle.find_by_id(engine, deleted.id)
    while going is not None:
        remaining[0] = kills + 4
        try:
            lifecycle.purge(engine, going)
        except KilledError:
            kills += 3
        remaining[0] = 0
        going = lifecycle.find_by_id(engine, deleted.id)
        if going is not None:
            with pytest.raises(ThirdPartyConfigError, match="deleted"):
                sources.save(engine, SOURCE, revive=going.purging)
    event.remove(engine, "before_cursor_execute", count_down)
    assert kills > 9
    assert rows("SELECT count(*) FROM sources") == rows("SELECT count(*) FROM events") == [(0,)]
    assert [action for action, _, _ in records(rows)] == ["delete", "purge", "purged"]
    assert [details["apis"]["sign-in"]["events"] for _, _, details in records(rows)[1:]] == [41, 41]


def test_others_write_between_the_small_transactions_of_a_purge(engine: Engine, store_url: str) -> None:
    fill(engine, SOURCE, 6000)
    fill(engine, OTHER, 3)
    deleted, beside = delete(engine), open_engine(store_url)
    (view,) = streams.of_source(beside, OTHER.id, (Api.AUDIT,))
    sizes: list[int] = []

    def write_beside(number: int) -> None:
        sizes.append(number)
        claim = streams.acquire(beside, view, "beside")
        assert claim
        streams.release(beside, claim)

    lifecycle.purge(engine, deleted, write_beside)
    beside.dispose()
    assert len(sizes) >= 6
    assert max(sizes) <= lifecycle.BATCH == 1000


def test_a_source_that_is_being_purged_does_not_come_back(engine: Engine) -> None:
    fill(engine, SOURCE, 3)
    lifecycle._begin_purge(engine, delete(engine))
    with pytest.raises(ThirdPartyConfigError, match=r"is being purged\. Finish it with"):
        sources.save(engine, SOURCE, revive=True)
