"""Plain requests to Prefect's API, for what its client has no method for. Imports nothing of Prefect itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def send(client: SyncPrefectClient, method: str, path: str, body: object = None) -> Any:
    """The answer as JSON, None if it is empty. Raises httpx.HTTPStatusError for any other answer than a success."""
    http: Any = client  # its own type allows only paths that it knows
    answer = http.request(method, path, json=body)
    return answer.json() if answer.content else None
