"""The blocks on the Prefect server that hold the URL of a store. Imports Prefect: use it within a `prefect_session`."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from blocks.store.block import EventStore

TYPE = EventStore.get_block_type_slug()


def names() -> list[str]:
    """The names of the blocks of the type "1Password Event Store"."""
    query = {"block_types": {"slug": {"any_": [TYPE]}}}
    with get_client(sync_client=True) as client:
        return sorted(str(one["name"]) for one in client.request("POST", "/block_documents/filter", json=query).json())
