"""Runs of the flows `collect` and `backfill`, and sources for them: see forks.py."""

from __future__ import annotations

from typing import Any

from torture import forks

from deployments.prefect_api import server_access

server_access.activate()

from pydantic import SecretStr  # noqa: E402

from blocks.events_api.credentials import OnePasswordCredentials  # noqa: E402
from blocks.prefect_names import block_name  # noqa: E402
from blocks.source import OnePasswordSource  # noqa: E402
from blocks.store.block import EventStore  # noqa: E402
from flows.backfill import backfill  # noqa: E402
from flows.collect import collect  # noqa: E402
from tasks.run_state import outcome_of  # noqa: E402
from tasks.support import stopping  # noqa: E402


def do(name: str, start: str = "", end: str = "", **source: str) -> list[str]:
    """Save the source if `source` is given, else backfill or collect it. Returns the outcome and its message."""
    if source:
        return _save(name, **source)
    stopping.exit_hook = _end
    state = backfill(name, start, end, return_state=True) if start else collect(name, return_state=True)
    found = outcome_of(state)
    return [found.name, found.message]


def _end(outcome: str, message: str) -> int:
    forks.report([outcome, message])
    return 0


def _save(name: str, url: str, base_url: str, token: str, source_id: str) -> list[str]:
    credentials = OnePasswordCredentials(base_url=base_url, api_token=SecretStr(token))
    store = EventStore(url=SecretStr(url))
    for block in (credentials, store):
        block.save(block_name(name), overwrite=True)
    apis: Any = ["sign-in", "itemUsage", "audit"]
    source = OnePasswordSource(
        name=name, credentials=credentials, store=store, supported_apis=apis, collect_from="120d", source_id=source_id
    )
    source.save(block_name(name), overwrite=True)
    return ["saved", ""]
