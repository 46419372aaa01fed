"""Read the streams of a source to their ends as the task `collect` does, without Prefect and without retries.

See forks.py.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from support.values import SOURCE

from blocks.errors import SourceError
from blocks.events_api.client import EventsClient
from blocks.store import sources, streams
from blocks.store.engine import open_engine
from tasks.support.drain import StreamReader

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.streams import StreamView

FROM = "120d"


def do(url: str, base_url: str, token: str) -> dict[str, str]:
    """Returns the outcome by API; or that of `store`, if the store failed before."""
    try:
        engine = open_engine(url)
        source = replace(SOURCE, base_url=base_url, collect_from=FROM)
        sources.save(engine, source)
        views = streams.of_source(engine, source.id, source.apis)
    except SourceError as error:
        return {"store": f"{error.name}: {error}"}
    with ThreadPoolExecutor(len(views)) as pool:
        found = pool.map(lambda view: _read(engine, view, base_url, token), views)
        return dict(zip([str(view.api) for view in views], found, strict=True))


def _read(engine: Engine, view: StreamView, base_url: str, token: str) -> str:
    try:
        # One holder for all: what a killed round held is the next one's, so that none need wait until a claim lapses.
        claim = streams.acquire(engine, view, "round")
        assert claim
        with EventsClient(base_url, token) as client:
            source = replace(SOURCE, collect_from=FROM)
            return f"ok {StreamReader(engine, client, source, claim, logging.getLogger()).drain().new}"
    except SourceError as error:
        return f"{error.name}: {error}"
