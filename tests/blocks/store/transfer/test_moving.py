"""A moved store is the store, and the store that was moved stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from support import backups
from support.kept_store import read_all
from support.values import SOURCE, require_proof

from blocks.errors import FirstPartyGenericError, StoreVersionError, ThirdPartyConfigError
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, schema, source_status, sources, streams
from blocks.store.engine import open_engine
from blocks.store.transfer import copying, moving, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

KILLED = """
import os, signal, sys
from blocks.store.engine import open_engine
from blocks.store.transfer import copying, moving, rows
copying.COMMIT = rows.FETCH = 10
left = int(sys.argv[3])
write = rows.write
def counted(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*arguments)
rows.write = counted
moving.move(open_engine(sys.argv[1]), open_engine(sys.argv[2]))
"""


@pytest.fixture
def source(full_url: str) -> Iterator[Engine]:
    engine = open_engine(full_url)
    yield engine
    engine.dispose()


@pytest.fixture
def to(target_url: str) -> Iterator[Engine]:
    engine = open_engine(target_url)
    yield engine
    engine.dispose()


def test_every_row_is_in_the_other_database(source: Engine, to: Engine) -> None:
    before = read_all(source)
    moved = moving.move(source, to)
    assert moved.sound
    assert backups.rows(to) == backups.rows(source)
    assert read_all(source) == before
    assert require_proof(to) > 0
    assert schema.version(to) == schema.HEAD
    assert moved.rows == {name: len(rows) for name, rows in before.items()}


def test_collection_goes_on_in_the_moved_store(source: Engine, to: Engine) -> None:
    moving.move(source, to)
    with to.connect() as connection:
        newest = connection.scalar(text("SELECT max(id) FROM events"))
    view = streams.of_source(to, "a" * 32, (Api.AUDIT,))[0]
    claim = streams.acquire(to, view, "run-9")
    assert claim, "a claim of the old store has no effect here"
    page = Page("next", has_more=False, events=[Event("NEW", 5, "{}")], invalid_items=[])
    pages.commit_page(to, claim, page, after=view.cursor, api_version="v2")
    with to.connect() as connection:
        assert connection.scalar(text("SELECT id FROM events WHERE uuid = 'NEW'")) > newest
    require_proof(to)


def kill(source: Engine, to: Engine, writes: int) -> int:
    urls = [one.url.render_as_string(hide_password=False) for one in (source, to)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *urls, str(writes)], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode


@pytest.mark.processes
def test_a_killed_move_is_continued(
    source: Engine, to: Engine, target_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And until then no command takes the copy for a store."""
    monkeypatch.setattr(copying, "COMMIT", 10)
    monkeypatch.setattr(copying.rows, "FETCH", 10)
    for writes in (2, 5, 20):
        assert kill(source, to, writes) == -9
        with pytest.raises(StoreVersionError, match="not complete"):
            source_status.open_store(target_url)
    moved = moving.move(source, to)
    assert moved.sound
    assert moved.continued > 0
    assert backups.rows(to) == backups.rows(source)


@pytest.mark.processes
def test_what_changed_after_the_kill_is_in_the_copy(source: Engine, to: Engine) -> None:
    """A prune between the two calls: the copied rows of a table that do not match are copied again."""
    assert kill(source, to, 3) == -9
    with source.begin() as connection:
        connection.execute(text("UPDATE sources SET description = 'later'"))
        connection.execute(text("DELETE FROM event_index WHERE event_id = (SELECT min(event_id) FROM event_index)"))
        connection.execute(text("DELETE FROM legible_bodies"))
    assert moving.move(source, to).sound
    assert backups.rows(to) == backups.rows(source)


def test_a_live_claim_refuses_the_move(store_url: str, target_url: str) -> None:
    engine = open_engine(store_url)
    sources.save(engine, SOURCE)
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run-1")
    assert claim
    to = open_engine(target_url)
    with pytest.raises(FirstPartyGenericError, match="A run collects at this moment"):
        moving.move(engine, to)
    assert schema.version(to) is None
    for one in (engine, to):
        one.dispose()


def test_a_target_with_a_store_is_refused(source: Engine, to: Engine) -> None:
    moving.move(source, to)
    with pytest.raises(ThirdPartyConfigError, match="not empty"):
        moving.move(source, to)


@pytest.mark.processes
def test_an_incomplete_copy_of_another_store_is_refused(source: Engine, to: Engine) -> None:
    assert kill(source, to, 2) == -9
    with pytest.raises(ThirdPartyConfigError, match="incomplete copy of another store"):
        target.begin(to, schema.HEAD, "another")


def test_a_damaged_store_is_moved_only_on_request(source: Engine, to: Engine) -> None:
    """The copy would be as damaged; the target stays unused, and the person learns of it."""
    with source.begin() as connection:
        connection.execute(text("UPDATE events SET body = '{}' WHERE id = (SELECT max(id) FROM events)"))
    moved = moving.move(source, to)
    assert not moved.sound
    assert schema.version(to) == schema.INCOMPLETE
    assert moving.move(source, to, accept_damage=True).continued > 0
    assert backups.rows(to) == backups.rows(source)
    assert schema.version(to) == schema.HEAD


def test_tables_of_others_in_the_database_stay(source: Engine, to: Engine) -> None:
    with to.begin() as connection:
        connection.execute(text("CREATE TABLE of_others (id INTEGER)"))
        connection.execute(text("INSERT INTO of_others VALUES (7)"))
    assert moving.move(source, to).sound
    with to.connect() as connection:
        assert connection.scalar(text("SELECT id FROM of_others")) == 7


def test_a_writer_waits_until_the_move_has_ended(source: Engine, to: Engine, full_url: str) -> None:
    """Otherwise its page would be in the old store alone."""
    writer = open_engine(full_url + ("?timeout=0" if full_url.startswith("sqlite") else ""))
    refused: list[str] = []

    def while_copying(_: int) -> None:
        if not refused:
            refused.append(why_refused(writer))

    assert moving.move(source, to, while_copying).sound
    assert "lock" in refused[0]
    writer.dispose()


def why_refused(writer: Engine) -> str:
    try:
        with writer.begin() as connection:
            if writer.dialect.name == "postgresql":
                connection.execute(text("SET lock_timeout = '50ms'"))
            connection.execute(text("UPDATE streams SET events = 0"))
    except SQLAlchemyError as error:
        return str(error)
    return "it could write"
