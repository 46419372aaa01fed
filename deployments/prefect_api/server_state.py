"""Prefect's server and its workers, as they are now.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api.templates import work_pool


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker of the work pool: online or not, and when it was last seen (ns since 1970; None: never)."""

    name: str
    online: bool
    seen_ns: int | None


@dataclass(frozen=True, slots=True)
class ServerState:
    """The server's address and version, the work pool, and its workers, those that are online first."""

    url: str
    version: str
    pool: str
    pool_paused: bool
    workers: tuple[WorkerState, ...]


def read_state() -> ServerState:
    """Raises FirstPartyGenericError if the server does not answer."""
    try:
        with get_client(sync_client=True) as client:
            version, url = client.api_version(), str(client.api_url)
            try:
                pool = client.read_work_pool(work_pool())
                found = client.read_workers_for_work_pool(work_pool())
            except ObjectNotFound:  # no source was applied yet
                return ServerState(url, version, work_pool(), pool_paused=False, workers=())
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise FirstPartyGenericError(
            f"The Prefect API does not answer ({type(error).__name__}).",
            hint="Check that `onepassword-source up` runs, or the server of PREFECT_API_URL.",
            code="prefect",
        ) from None
    workers = [
        WorkerState(
            one.name,
            str(one.status.value if one.status else "") == "ONLINE",
            int(one.last_heartbeat_time.timestamp() * 10**9) if one.last_heartbeat_time else None,
        )
        for one in found
    ]
    return ServerState(
        url,
        version,
        work_pool(),
        pool_paused=bool(pool.is_paused),
        workers=tuple(sorted(workers, key=lambda one: (not one.online, one.name))),
    )
