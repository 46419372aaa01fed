"""What a backup keeps of Prefect: blocks with their secrets, schedules, automations, variables, the work pool.

All of it goes into one encrypted part, because automations and job variables can hold secrets too. Runs, logs and
Prefect's own events are not kept. This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from deployments.backups.prefect_requests import send
from deployments.prefect_api.templates import work_pool

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PAGE = 200
FLOWS = "flows."
BLOCK_TYPE = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
BLOCK_SCHEMA = ("checksum", "fields", "capabilities", "version")
DEPLOYMENT = (
    "name",
    "entrypoint",
    "description",
    "tags",
    "paused",
    "parameters",
    "job_variables",
    "concurrency_limit",
    "concurrency_options",
    "enforce_parameter_schema",
    "parameter_openapi_schema",
    "work_pool_name",
    "work_queue_name",
)
SCHEDULE = ("schedule", "active", "max_scheduled_runs", "parameters", "slug")
AUTOMATION = (
    "name",
    "description",
    "enabled",
    "tags",
    "trigger",
    "actions",
    "actions_on_trigger",
    "actions_on_resolve",
)
SOURCE_TYPE = "1password-source"


class SavedBlock(msgspec.Struct, frozen=True):
    """A block document. `references`: members that are blocks, by the ids of their documents."""

    id: str
    name: str
    type: dict[str, Any]
    schema: dict[str, Any]
    data: dict[str, Any]
    references: dict[str, str] = {}


class SavedDeployment(msgspec.Struct, frozen=True):
    """A deployment of one of this program's flows, in the form of Prefect's API."""

    id: str
    flow: str
    values: dict[str, Any]
    schedules: list[dict[str, Any]]


class SavedAutomation(msgspec.Struct, frozen=True):
    """An automation, in the form of Prefect's API."""

    id: str
    values: dict[str, Any]


class PrefectContent(msgspec.Struct, frozen=True):
    """All of it. `work_pool`: whether it is paused, and its limit. `other_deployments`: names that are not kept."""

    blocks: list[SavedBlock]
    deployments: list[SavedDeployment]
    automations: list[SavedAutomation]
    variables: list[dict[str, Any]]
    work_pool: dict[str, Any]
    other_deployments: list[str]

    def other_stores(self) -> list[str]:
        """Names of sources whose block names a store of its own."""
        return sorted(
            str(one.data.get("name"))
            for one in self.blocks
            if one.type["slug"] == SOURCE_TYPE and "store" in one.references
        )


def read() -> PrefectContent:
    """Read it from the Prefect server."""
    with get_client(sync_client=True) as client:
        found = _pages(client, "/deployments/filter", {"sort": "NAME_ASC"})
        ours = [one for one in found if str(one["entrypoint"]).startswith(FLOWS)]
        return PrefectContent(
            blocks=_blocks(client),
            deployments=[_deployment(one) for one in ours],
            automations=[
                SavedAutomation(one["id"], {name: one[name] for name in AUTOMATION if name in one})
                for one in _pages(client, "/automations/filter", {"sort": "NAME_ASC"})
            ],
            variables=[
                {name: one[name] for name in ("name", "value", "tags")}
                for one in _pages(client, "/variables/filter", {"sort": "NAME_ASC"})
            ],
            work_pool=_work_pool(client),
            other_deployments=sorted(str(one["name"]) for one in found if one not in ours),
        )


def holds_sources() -> bool:
    """True if the Prefect server has a block of a source already."""
    with get_client(sync_client=True) as client:
        return bool(_request(client, "/block_documents/filter", {"block_types": {"slug": {"any_": [SOURCE_TYPE]}}}))


def _blocks(client: SyncPrefectClient) -> list[SavedBlock]:
    query = {"include_secrets": True, "sort": "NAME_ASC"}
    return [_block(one) for one in _pages(client, "/block_documents/filter", query)]


def _block(document: dict[str, Any]) -> SavedBlock:
    references = {
        member: str(found["block_document"]["id"])
        for member, found in (document.get("block_document_references") or {}).items()
        if found.get("block_document")
    }
    data = {name: value for name, value in (document["data"] or {}).items() if name not in references}
    slug = document["block_type"]["slug"]
    if slug == SOURCE_TYPE and not data.get("source_id"):
        # A source that was made in the UI: the id of its document is the id of the source.
        data["source_id"] = str(document["id"]).replace("-", "")
    return SavedBlock(
        id=str(document["id"]),
        name=str(document["name"]),
        type={name: document["block_type"].get(name) for name in BLOCK_TYPE},
        schema={name: document["block_schema"].get(name) for name in BLOCK_SCHEMA},
        data=data,
        references=references,
    )


def _deployment(found: dict[str, Any]) -> SavedDeployment:
    values = {name: found.get(name) for name in DEPLOYMENT}
    limit = found.get("global_concurrency_limit") or {}
    values["concurrency_limit"] = limit.get("limit", found.get("concurrency_limit"))
    schedules = [{name: one.get(name) for name in SCHEDULE} for one in found["schedules"]]
    return SavedDeployment(str(found["id"]), str(found["entrypoint"]).rpartition(".")[2], values, schedules)


def _work_pool(client: SyncPrefectClient) -> dict[str, Any]:
    try:
        found = client.read_work_pool(work_pool())
    except ObjectNotFound:
        return {}
    return {"is_paused": found.is_paused, "concurrency_limit": found.concurrency_limit}


def _pages(client: SyncPrefectClient, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := _request(client, path, {**query, "limit": PAGE, "offset": len(found)}):
        found += page
        if len(page) < PAGE:
            break
    return found


def _request(client: SyncPrefectClient, path: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = send(client, "POST", path, query)
    return rows
