"""A store with any number of events, committed page by page as `collect` does."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from blocks import clock
from blocks.events_api.models import Api, read_page
from blocks.store import pages, schema, sources, streams
from blocks.store.engine import open_engine
from blocks.store.sources import SourceRecord
from deployments.sandbox.computed_history import BLOCK, ComputedHistory
from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import ArrivalPace

if TYPE_CHECKING:
    from blocks.events_api.models import Page

UNTIL_NS = 1_772_600_767_000_000_000
SOURCE = SourceRecord(
    id="5" * 32,
    name="1Pass",
    description=None,
    category="sec/1password",
    fields={"_siemForward": True},
    base_url="http://127.0.0.1",
    apis=tuple(Api),
    api_version="v2",
    collect_from=None,
    fingerprint="",
)


def fill(url: str, events: int) -> None:
    """Save a source with so many events, a third for each API, rounded up to pages of a thousand.

    They were received before the current hour, so an archive writes them at once.
    """
    with patch("blocks.clock.now_ns", count(UNTIL_NS, 1_000_000).__next__):
        _fill(url, events)


def _fill(url: str, events: int) -> None:
    engine = open_engine(url)
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    each = -(-events // (len(Api) * BLOCK))
    bulks = {api: ComputedHistory(1, api.path, ArrivalPace(each * BLOCK, UNTIL_NS, 7.0, 0.0)) for api in Api}
    views = streams.of_source(engine, SOURCE.id, tuple(Api))
    claims: dict[Api, Any] = {view.api: streams.acquire(engine, view, "fill") for view in views}
    cursors: dict[Api, str | None] = dict.fromkeys(Api)
    for number in range(each):
        for api in Api:
            page = _page(bulks[api], api, number)
            pages.commit_page(engine, claims[api], page, after=cursors[api], api_version="v2")
            cursors[api] = page.cursor
    engine.dispose()


def commit(url: str, name: str, each: int) -> None:
    """Commit `each` events (less than a page) for each API of a saved source, as its first run does."""
    engine = open_engine(url)
    source_id = sources.ids_by_name(engine)[name]
    for view in streams.of_source(engine, source_id, tuple(Api)):
        claim: Any = streams.acquire(engine, view, "fill")
        page = _page(ComputedHistory(1, view.api.path, ArrivalPace(BLOCK, clock.now_ns(), 1.0, 0.0)), view.api, 0, each)
        pages.commit_page(engine, claim, page, after=None, api_version="v2")
        streams.release(engine, claim)
    engine.dispose()


def _page(bulk: ComputedHistory, api: Api, number: int, size: int = BLOCK) -> Page:
    found = bulk.read(CursorState(2, api.path, number * BLOCK, size, 0), 0)
    content = b'{"cursor":"%d","has_more":true,"items":[' % number + b",".join(found.bodies) + b"]}"
    return replace(read_page(content, api), unknown=())
