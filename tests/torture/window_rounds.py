"""Read a job's windows to their ends as the flow `backfill` does, without Prefect and its retries. See forks.py."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from support.values import SOURCE

from blocks.errors import ClaimLostError
from blocks.events_api.client import EventsClient
from blocks.store import sources
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.engine import open_engine
from tasks.read_window import WindowReader

HOUR = 3600 * 10**9
READERS = 4


def do(url: str, base_url: str, token: str, start_ns: str, end_ns: str) -> dict[str, int]:
    """Read windows of the job for this span until none is left. Returns the number of windows read."""
    engine = open_engine(url)
    source = replace(SOURCE, base_url=base_url, collect_from="120d")
    sources.save(engine, source)
    wanted = JobRequest(BACKFILL, source.id, source.apis, int(start_ns), int(end_ns))
    job = jobs.start(engine, wanted, 12 * HOUR)

    def read(_: int) -> int:
        done = 0
        with EventsClient(base_url, token) as client:
            while claim := windows.acquire(engine, job.id, str(os.getpid())):
                try:
                    WindowReader(engine, client, source, claim).read()
                    done += 1
                except ClaimLostError:
                    pass
        return done

    with ThreadPoolExecutor(READERS) as pool:
        return {"windows": sum(pool.map(read, range(READERS)))}
