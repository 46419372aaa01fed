"""Leave the store as a run that has ended leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.values import SOURCE

from blocks import clock
from blocks.events_api.models import Api
from blocks.store import sources, streams

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord


def end_run(engine: Engine, source: SourceRecord = SOURCE, *, apis: tuple[Api, ...] = tuple(Api)) -> None:
    """Record a run that read these APIs to their end."""
    for view in streams.of_source(engine, source.id, apis):
        claim = streams.acquire(engine, view, "run")
        assert claim
        streams.record_drain(engine, claim, clock.now_ns())
    sources.save_state(engine, source.id, "Collected", "", "run")
