"""The threads behind the console: events are indexed and days counted without a page."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.indexed_events import DAY_NS, CollectedEvents

from blocks import clock
from blocks.store.insight import run_counter
from deployments.console import indexing

if TYPE_CHECKING:
    from sqlalchemy import Engine

SECONDS = 60


def test_events_are_indexed_and_days_counted(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_counter, "IDLE_SECONDS", 0.1)
    CollectedEvents(store).sign_in("s1", clock.now_ns() - DAY_NS)
    stop, pause = indexing.start_indexing(), threading.Event()
    try:
        for _ in range(SECONDS * 10):
            with store.connect() as connection:
                if connection.execute(text("SELECT count(*) FROM insight_days")).scalar_one():
                    return
            pause.wait(0.1)
        pytest.fail("nothing was counted")
    finally:
        stop.set()


def test_a_store_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    monkeypatch.setattr(indexing, "RETRY_SECONDS", 0.01)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    assert indexing._open(stop) is None
