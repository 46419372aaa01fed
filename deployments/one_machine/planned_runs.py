"""Removes planned runs that lie too far ahead because the clock was set back: they keep Prefect from planning others.

Prefect plans two runs per schedule, and no more while there are two. After the clock was set back by two hours, both
lie two hours ahead. Prefect also plans no tick twice: the ticks of the last two hours have had their runs, and would be
skipped. When both kinds are removed, the scheduler plans the next ticks within half a minute. Of ended runs only the
record is removed: the events that they collected are in the store. Plain requests with a time limit, as in
`worker_runs`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from blocks import clock
from deployments.prefect_api import server_access
from deployments.prefect_api.schedules import TICKS
from deployments.prefect_api.templates import work_pool

if TYPE_CHECKING:
    import httpx

PLANNED = 2
"""How many runs Prefect plans for a schedule: see `server_settings`."""
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
SLACK_SECONDS = 60.0
PAGE, AT_ONCE = 200, 50
POLL_SECONDS = 1.0


def remove_misplaced(url: str, seconds: float) -> bool:
    """Remove runs that are planned further ahead than a schedule plans, and ended runs that lie in the future.

    Waits for a server that is starting. False if the server did not do it within `seconds`.
    """
    import httpx  # noqa: PLC0415 - 0.2 s, after `up` has started its server

    deadline = time.monotonic() + seconds
    while True:
        try:
            with server_access.authenticated_client(seconds) as client:
                _remove(client, url)
        except (httpx.HTTPError, ValueError):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _remove(client: httpx.Client, url: str) -> None:
    now = datetime.fromtimestamp(clock.now(), UTC)
    for flow, ticks in TICKS.items():
        planned_until = now + timedelta(seconds=PLANNED * ticks.every + SLACK_SECONDS)
        for states, after in ((("SCHEDULED",), planned_until), (ENDED, now)):
            while (found := _ahead(client, url, flow, states, after)) and _delete(client, url, found):
                pass


def _delete(client: httpx.Client, url: str, runs: list[str]) -> int:
    deleted = 0
    for start in range(0, len(runs), AT_ONCE):
        wanted = {"flow_runs": {"id": {"any_": runs[start : start + AT_ONCE]}}}
        answer = client.post(f"{url}/flow_runs/bulk_delete", json=wanted)
        answer.raise_for_status()
        deleted += len(answer.json()["deleted"])
    return deleted


def _ahead(client: httpx.Client, url: str, flow: str, states: tuple[str, ...], after: datetime) -> list[str]:
    wanted: dict[str, Any] = {
        "flows": {"name": {"any_": [flow]}},
        "work_pools": {"name": {"any_": [work_pool()]}},
        "flow_runs": {
            "state": {"type": {"any_": list(states)}},
            "expected_start_time": {"after_": after.isoformat()},
        },
        "limit": PAGE,
    }
    answer = client.post(f"{url}/flow_runs/filter", json=wanted)
    answer.raise_for_status()
    return [run["id"] for run in answer.json() if run["auto_scheduled"]]
