"""One run of the real flow `collect`, as `onepassword-source collect` makes it: Prefect, blocks, tasks, store."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from measure import Job, Stopwatch, print_measurement, read_job

from blocks.config.source_file import parse_sources
from deployments.prefect_api import server_access

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.support.drain import CollectResult, StreamReader

NAME = "benchmark"


def main() -> None:
    job, watch = read_job(), Stopwatch()
    server_access.activate()
    save_blocks(job)
    pages = _collect(watch)
    print_measurement(watch.measured(pages))


def save_blocks(job: Job) -> None:
    from blocks.prefect_names import block_name
    from blocks.source import OnePasswordSource

    config = parse_sources(json.dumps(_configuration(job)).encode(), allowed_hosts=frozenset())[0]
    block = OnePasswordSource.from_config(config, "0" * 32)
    block.credentials.save(block_name(NAME), overwrite=True)
    block.save(block_name(NAME), overwrite=True)


def _configuration(job: Job) -> dict[str, object]:
    config = {
        "name": NAME,
        "base_url": job.base_url,
        "api_token": job.token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        "collect_from": "100d",
    }
    return {"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}}


def _collect(watch: Stopwatch) -> int:
    from flows.collect import collect
    from tasks.support import drain

    done: list[CollectResult] = []
    drain.StreamReader.drain = _timed(drain.StreamReader.drain, watch, done)  # type: ignore[assignment, method-assign]
    state = collect(NAME, return_state=True)
    if not (state.message or "").startswith("Collected: "):
        sys.exit(f"The flow ended {state.name}: {state.message}")
    return sum(collected.pages for collected in done)


def _timed(
    run: Callable[[StreamReader], CollectResult], watch: Stopwatch, done: list[CollectResult]
) -> Callable[[StreamReader], CollectResult]:
    """Reading and storing begins with the first API's round and ends with the last one's."""

    def timed(one: StreamReader) -> CollectResult:
        watch.start()
        done.append(run(one))
        watch.stop()
        return done[-1]

    return timed


if __name__ == "__main__":
    main()
