"""Puts what a backup keeps of Prefect on a Prefect server that has no sources yet.

Each step can be done again: blocks, deployments, automations and variables are found by their names. The store must be
in place. This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from blocks.events_api.credentials import OnePasswordCredentials
from blocks.siem.configuration import KINDS, block_class
from blocks.source import OnePasswordSource
from blocks.store.block import EventStore
from deployments import sources
from deployments.backups.prefect_requests import send
from deployments.prefect_api import automations, deploy
from deployments.prefect_api.templates import COLLECT, FORWARD, RECONCILE, work_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.blocks.core import Block
    from prefect.client.orchestration import SyncPrefectClient

    from deployments.backups.prefect_content import PrefectContent, SavedBlock, SavedDeployment

PAUSED = frozenset({COLLECT, RECONCILE, FORWARD})
"""The flows whose schedules `--paused` stops; a backfill has none, and retention goes on."""
NOT_UPDATED = frozenset({"name", "entrypoint", "parameter_openapi_schema"})


@dataclass
class RestoredPrefect:
    """What was put on the server, by name, and warnings for the person."""

    sources: list[str] = field(default_factory=list)
    blocks: int = 0
    deployments: int = 0
    automations: int = 0
    warnings: list[str] = field(default_factory=list)


def restore(
    content: PrefectContent, *, paused: bool, advance: Callable[[int], object] = lambda _: None
) -> RestoredPrefect:
    """Put everything on the server. `advance` is called with the number of objects."""
    with get_client(sync_client=True) as client:
        return _Restore(client, content, paused=paused, advance=advance).restore()


def count(content: PrefectContent) -> int:
    """The number of objects, for a progress bar."""
    return len(content.blocks) + len(content.deployments) + len(content.automations) + len(content.variables)


class _Restore:
    def __init__(
        self, client: SyncPrefectClient, content: PrefectContent, *, paused: bool, advance: Callable[[int], object]
    ) -> None:
        self._client = client
        self._content = content
        self._paused = paused
        self._advance = advance
        self._ids: dict[str, str] = {}
        """The new id of each saved object, by its saved id."""
        self.result = RestoredPrefect()

    def restore(self) -> RestoredPrefect:
        sources.register_blocks(siems=True)
        deploy.ensure_work_pool(self._client)
        self._restore_blocks()
        self.result.sources = sources.deploy_all()
        for saved in self._content.deployments:
            self._restore_deployment(saved)
            self._advance(1)
        self._restore_work_pool()
        for variable in self._content.variables:
            self._restore_variable(variable)
            self._advance(1)
        self._restore_automations()
        return self.result

    def _restore_blocks(self) -> None:
        """Those without references first: the others name them by their new ids."""
        for saved in sorted(self._content.blocks, key=lambda one: bool(one.references)):
            data = saved.data | {
                member: {"$ref": {"block_document_id": self._ids[old]}}
                for member, old in saved.references.items()
                if old in self._ids
            }
            self._ids[saved.id] = self._save_block(saved, data)
            self.result.blocks += 1
            self._advance(1)

    def _save_block(self, saved: SavedBlock, data: dict[str, Any]) -> str:
        slug = str(saved.type["slug"])
        type_id, schema_id = self._type_and_schema(saved)
        named = {"slug": {"any_": [slug]}}
        query = {"block_types": named, "block_documents": {"name": {"any_": [saved.name]}}}
        found = self._post("/block_documents/filter", query)
        if found:
            change = {"data": data, "block_schema_id": schema_id, "merge_existing_data": False}
            send(self._client, "PATCH", f"/block_documents/{found[0]['id']}", change)
            return str(found[0]["id"])
        made = {"name": saved.name, "data": data, "block_schema_id": schema_id, "block_type_id": type_id}
        return str(self._post("/block_documents/", made)["id"])

    def _type_and_schema(self, saved: SavedBlock) -> tuple[str, str]:
        """The type and the schema on this server. This program's own blocks have the present schema of their class."""
        slug = str(saved.type["slug"])
        if (own := _own_blocks().get(slug)) is not None:
            return str(own._block_type_id), str(own._block_schema_id)  # noqa: SLF001 - Prefect has no other way
        types = self._post("/block_types/filter", {"block_types": {"slug": {"any_": [slug]}}})
        kind = types[0] if types else self._post("/block_types/", saved.type)
        schema = self._find_schema(str(saved.schema["checksum"]))
        if schema is None:
            form = {name: value for name, value in saved.schema.items() if name != "checksum"}
            schema = self._post("/block_schemas/", {**form, "block_type_id": kind["id"]})
        return str(kind["id"]), str(schema["id"])

    def _find_schema(self, checksum: str) -> dict[str, Any] | None:
        try:
            return {"id": self._client.read_block_schema_by_checksum(checksum).id}
        except ObjectNotFound:
            return None

    def _restore_deployment(self, saved: SavedDeployment) -> None:
        name = str(saved.values["name"])
        values = dict(saved.values)
        if self._paused and saved.flow in PAUSED and saved.schedules:
            values["paused"] = True
        schedules = [{k: v for k, v in one.items() if v is not None} for one in saved.schedules]
        found = deploy.find_by_name(self._client, saved.flow, name)
        if found is None:
            flow = _flow(str(values["entrypoint"]))
            if flow is None:
                self.result.warnings.append(
                    f"The deployment {saved.flow}/{name} was not restored: this version has no such flow."
                )
                return
            made = {**_set(values), "flow_id": str(self._client.create_flow(flow)), "schedules": schedules}
            self._ids[saved.id] = str(self._post("/deployments/", made)["id"])
        else:
            change = {k: v for k, v in _set(values).items() if k not in NOT_UPDATED}
            send(self._client, "PATCH", f"/deployments/{found.id}", {**change, "schedules": schedules})
            self._ids[saved.id] = str(found.id)
        self.result.deployments += 1

    def _restore_work_pool(self) -> None:
        if self._content.work_pool:
            change = WorkPoolUpdate(**self._content.work_pool)
            self._client.update_work_pool(work_pool(), change)

    def _restore_variable(self, variable: dict[str, Any]) -> None:
        query = {"variables": {"name": {"any_": [variable["name"]]}}}
        if found := self._post("/variables/filter", query):
            send(self._client, "PATCH", f"/variables/{found[0]['id']}", variable)
        else:
            self._post("/variables/", variable)

    def _restore_automations(self) -> None:
        for saved in self._content.automations:
            core = AutomationCore.model_validate(json.loads(self._with_new_ids(json.dumps(saved.values))))
            automations.restore(self._client, AutomationCore.model_validate(saved.values), core)
            self.result.automations += 1
            self._advance(1)

    def _with_new_ids(self, text: str) -> str:
        """Actions name blocks and deployments by their ids, which are other ones on this server."""
        for old, new in self._ids.items():
            text = text.replace(old, new)
        return text

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return send(self._client, "POST", path, body)


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@cache
def _own_blocks() -> dict[str, type[Block]]:
    own: list[type[Block]] = [OnePasswordCredentials, EventStore, OnePasswordSource, *map(block_class, KINDS)]
    return {one.get_block_type_slug(): one for one in own}


@cache
def _flow(entrypoint: str) -> Any:
    module, _, name = entrypoint.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None
