"""Flow runs of this machine whose processes are gone: `up` ends them on the server, which would wait for them.

If workers of other machines take runs of the pool too, nothing says which machine a run belongs to, and none is ended
here: the automation "dead runs" ends the dead ones three minutes later. Plain requests with a time limit: `up` does not
import Prefect, and must not wait for a server that hangs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deployments.prefect_api import server_access
from deployments.prefect_api.templates import work_pool

if TYPE_CHECKING:
    import httpx

STOPPED = "Stopped: `onepassword-source up` was stopped. The next run continues after the last stored page."
CRASHED = "The process of this run ended before the run did. The next run continues after the last stored page."
WORKER = "up"
"""The name of the worker of `up`."""
UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
PAGE = 200


def end_stopped(url: str, seconds: float) -> bool:
    """Cancel the runs that did not end in time. Call it only when none of their processes is left.

    False if the server did not accept that within `seconds`. The next `up` ends them then.
    """
    return _settle(url, {"type": "CANCELLED", "name": "Cancelled", "message": STOPPED}, seconds)


def end_crashed(url: str, seconds: float) -> bool:
    """Crash the runs whose processes died with their worker. Call it only when none of their processes is left."""
    return _settle(url, {"type": "CRASHED", "name": "Crashed", "message": CRASHED}, seconds)


def _settle(url: str, state: dict[str, str], seconds: float) -> bool:
    import httpx  # noqa: PLC0415 - 0.2 s, after `up` has started its server

    deadline = time.monotonic() + seconds
    try:
        with server_access.authenticated_client(seconds) as client:
            if _has_other_workers(client, url):
                return True
            for run in _under_way(client, url):
                if time.monotonic() > deadline:
                    return False
                _set(client, url, run, state)
    except (httpx.HTTPError, ValueError):
        return False
    return True


def _has_other_workers(client: httpx.Client, url: str) -> bool:
    online = {"workers": {"status": {"any_": ["ONLINE"]}}}
    answer = client.post(f"{url}/work_pools/{work_pool()}/workers/filter", json=online)
    answer.raise_for_status()
    return any(worker["name"] != WORKER for worker in answer.json())


def _under_way(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    wanted = {
        "work_pools": {"name": {"any_": [work_pool()]}},
        "flow_runs": {"state": {"type": {"any_": list(UNDER_WAY)}}},
        "limit": PAGE,
    }
    answer = client.post(f"{url}/flow_runs/filter", json=wanted)
    answer.raise_for_status()
    return list(answer.json())


def _set(client: httpx.Client, url: str, run: dict[str, Any], state: dict[str, str]) -> None:
    if run["state_type"] == "CANCELLING":  # after which the server takes no other
        state = {"type": "CANCELLED", "name": "Cancelled", "message": STOPPED}
    client.post(f"{url}/flow_runs/{run['id']}/set_state", json={"state": state, "force": False}).raise_for_status()
