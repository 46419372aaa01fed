"""Commit pages to a stream; SIGKILL itself just before the n-th statement (commits count). See forks.py."""

from __future__ import annotations

import itertools
import os
import signal

from sqlalchemy import event
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.engine import open_engine

IN_2100 = 4_102_444_800 * 10**9


def do(url: str, fatal: str, count: str, size: str, odd: str = "") -> dict[str, int]:
    """Commit pages of `size` events from the stored cursor up to page `count`. `fatal`: SIGKILL before this statement.

    `odd`: each page has two more events, one dated in the future, and one of a known uuid with another body.
    """
    engine = open_engine(url)
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    held = streams.acquire(engine, view, str(os.getpid()), by_force=True)
    assert held
    statements = itertools.count(1)

    def step(*_: object) -> None:
        if next(statements) == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", step)
    event.listen(engine, "commit", step)
    cursor = view.cursor
    for number in range(int(cursor or 0), int(count)):
        first = number * int(size)
        events = [Event(f"U{n}", n, f'{{"n":{n}}}') for n in range(first, first + int(size))]
        if odd:
            events.append(Event(f"FUTURE{number}", IN_2100, "{}"))
            events.append(Event("SAME", 0, f'{{"n":{number}}}'))
        page = Page(str(number + 1), has_more=True, events=events, invalid_items=[])
        pages.commit_page(engine, held, page, after=cursor, api_version="v2")
        cursor = page.cursor
    return {"statements": next(statements) - 1}
