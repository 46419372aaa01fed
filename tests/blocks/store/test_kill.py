"""SIGKILL in a real process: after each commit, and at every statement between insert and commit."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support import SOURCE

from blocks.events_api.models import Api
from blocks.store import sources, streams
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

PAGES, SIZE = 6, 10

# Collects PAGES pages, and kills itself just before the n-th statement, commits among them.
SCRIPT = """
import os, signal, sys
from sqlalchemy import event
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.engine import open_engine

url, source, fatal, count, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
engine = open_engine(url)
view = streams.of_source(engine, source, (Api.AUDIT,))[0]
held = streams.take(engine, view, str(os.getpid()), by_force=True)
cursor = view.cursor
statements = 0

def step(*_):
    global statements
    statements += 1
    if statements == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(engine, "before_cursor_execute", step)
event.listen(engine, "commit", step)
for number in range(int(cursor or 0), count):
    events = [Event(f"U{n}", n, f'{{"n":{n}}}') for n in range(number * size, (number + 1) * size)]
    page = Page(str(number + 1), has_more=True, events=events, rejected=[])
    pages.commit_page(engine, held, page, after=cursor, api_version="v2")
    cursor = page.cursor
print(statements)
"""


def collect(url: str, fatal: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, url, SOURCE.id, str(fatal), str(PAGES), str(SIZE)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def kept(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT uuid FROM events")).scalars().all()
    assert len(found) == len(set(found))
    assert set(found) == {f"U{n}" for n in range(len(found))}
    cursor = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0].cursor
    return len(found), int(cursor or 0)


@pytest.mark.torture
def test_killed_anywhere_the_next_run_goes_on_from_the_last_commit(store_url: str) -> None:
    engine = open_engine(store_url)
    sources.put(engine, SOURCE)
    fatal, kills = 1, 0
    while True:
        ended = collect(store_url, fatal)
        events, cursor = kept(engine)
        assert events == cursor * SIZE, f"killed before statement {fatal}: events and cursor parted"
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        kills += 1
        fatal = fatal % 13 + 1  # a page has four or five statements, so some runs commit and some do not
    assert kept(engine) == (PAGES * SIZE, PAGES)
    assert kills >= 4
    engine.dispose()


@pytest.mark.parametrize("fatal", range(1, 10))
def test_killed_at_one_statement_nothing_of_the_page_in_hand_is_there(store_url: str, fatal: int) -> None:
    engine = open_engine(store_url)
    sources.put(engine, SOURCE)
    assert collect(store_url, fatal).returncode == -signal.SIGKILL
    events, cursor = kept(engine)
    assert events == cursor * SIZE
    assert collect(store_url, 0).returncode == 0
    assert kept(engine) == (PAGES * SIZE, PAGES)
    engine.dispose()
