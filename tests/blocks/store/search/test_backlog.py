"""What is stored and not indexed is counted, and a source that is being purged does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from support.indexed_events import CollectedEvents, index_all

from blocks.store.search import backlog

if TYPE_CHECKING:
    from sqlalchemy import Engine


def pending(engine: Engine) -> int:
    with engine.connect() as connection:
        return backlog.count(connection)


def test_the_backlog_is_what_the_index_does_not_have(engine: Engine) -> None:
    assert pending(engine) == 0
    collected = CollectedEvents(engine)
    collected.audit("A")
    collected.sign_in("S")
    assert pending(engine) == 2
    index_all(engine)
    assert pending(engine) == 0
    collected.audit("B")
    assert pending(engine) == 1
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET deleted_ns = 1"))
    assert pending(engine) == 1, "its events stay, and can be searched"
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET state = 'Purging'"))
    assert pending(engine) == 0
