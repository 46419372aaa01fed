"""Several first runs of one source at the same time make it once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from support.values import SOURCE

from blocks.store import sources, streams
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

RUNS = 6


def test_runs_that_come_at_once_make_one_source(store_url: str, engine: Engine) -> None:
    for number in range(5):
        together = threading.Barrier(RUNS)
        source = replace(SOURCE, id=f"{number:032x}", name=f"Source {number}")

        def put(_: int, source: sources.SourceRecord = source, together: threading.Barrier = together) -> None:
            own = open_engine(store_url)
            together.wait(30)
            sources.save(own, source)
            own.dispose()

        with ThreadPoolExecutor(RUNS) as pool:
            list(pool.map(put, range(RUNS)))
        assert len(streams.of_source(engine, source.id, source.apis)) == 3
