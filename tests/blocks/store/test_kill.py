"""SIGKILL in a real process: after each commit, and at every statement between insert and commit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.one_machine import wait_until
from support.values import SOURCE, require_proof
from torture.processes import Forks

from blocks.events_api.models import Api
from blocks.store import sources, streams
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

PAGES, SIZE = 6, 10


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks.of("committing", tmp_path_factory.mktemp("committing"), dict(os.environ)) as made:
        yield made


def collect(forks: Forks, url: str, fatal: int, **odd: str) -> bool:
    """Whether the process lived to the end."""
    fork = forks.call(url=url, fatal=str(fatal), count=str(PAGES), size=str(SIZE), **odd)
    wait_until(fork.ended)
    if fork.answer.exists():
        fork.wait()
    return fork.answer.exists()


def committed(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT uuid FROM events")).scalars().all()
    assert len(found) == len(set(found))
    assert set(found) == {f"U{n}" for n in range(len(found))}
    cursor = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0].cursor
    assert require_proof(engine) == int(cursor or 0), "each page here is a link"
    return len(found), int(cursor or 0)


@pytest.mark.torture
def test_killed_anywhere_the_next_run_goes_on_from_the_last_commit(forks: Forks, store_url: str) -> None:
    engine = open_engine(store_url)
    sources.save(engine, SOURCE)
    fatal, kills = 1, 0
    while True:
        lived = collect(forks, store_url, fatal)
        events, cursor = committed(engine)
        assert events == cursor * SIZE, f"killed before statement {fatal}: events and cursor parted"
        if lived:
            break
        kills += 1
        fatal = fatal % 17 + 1  # a page has six or seven statements, so some runs commit and some do not
    assert committed(engine) == (PAGES * SIZE, PAGES)
    assert kills >= 4
    engine.dispose()


@pytest.mark.parametrize("fatal", range(1, 13))
def test_killed_at_one_statement_nothing_of_the_current_page_is_there(forks: Forks, store_url: str, fatal: int) -> None:
    engine = open_engine(store_url)
    sources.save(engine, SOURCE)
    assert not collect(forks, store_url, fatal)
    events, cursor = committed(engine)
    assert events == cursor * SIZE
    assert collect(forks, store_url, 0)
    assert committed(engine) == (PAGES * SIZE, PAGES)
    engine.dispose()


def test_what_is_reported_once_is_reported_once_wherever_the_run_is_killed(
    forks: Forks, store_url: str, rows: Callable[[str], list[tuple[object, ...]]]
) -> None:
    engine = open_engine(store_url)
    sources.save(engine, SOURCE)
    fatal = 1
    while not collect(forks, store_url, fatal, odd="yes"):
        fatal += 1
    assert fatal > PAGES
    counts = rows("SELECT name, count(*) FROM health_events GROUP BY name ORDER BY name")
    assert counts == [("EventsChanged", PAGES - 1), ("EventsInFuture", 1)], "each change, and the future"
    assert rows("SELECT count(*), count(DISTINCT body) FROM changed_bodies") == [(PAGES - 1, PAGES - 1)]
    assert rows("SELECT events, changed FROM streams WHERE api = 'audit'") == [(PAGES * (SIZE + 1) + 1, PAGES - 1)]
    engine.dispose()
