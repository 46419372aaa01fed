"""The names of the objects that a run belongs to, passed on by the worker so that the run need not request them.

Each process that emits an event of a run reads the names of the flow, the deployment, the work queue and the work pool
once. The worker has them all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect.events.related import RESOURCE_CACHE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.client.schemas.objects import FlowRun


@dataclass(frozen=True, slots=True)
class RelatedObject:
    """What an event says of an object that its run belongs to. The run knows it by `key`; `id` is its own id."""

    kind: str
    key: str
    id: str
    name: str


def related_objects(flow_run: FlowRun, env: Mapping[str, str]) -> list[dict[str, str]]:
    """The objects that a run belongs to, as JSON, as far as the worker knows them."""
    known = (
        ("flow", flow_run.flow_id, flow_run.flow_id, env.get("PREFECT__FLOW_NAME")),
        ("deployment", flow_run.deployment_id, flow_run.deployment_id, env.get("PREFECT__DEPLOYMENT_NAME")),
        ("work-queue", flow_run.work_queue_id, flow_run.work_queue_id, flow_run.work_queue_name),
        ("work-pool", flow_run.work_pool_name, flow_run.work_pool_id, flow_run.work_pool_name),
    )
    return [
        asdict(RelatedObject(kind, str(key), str(number), name)) for kind, key, number, name in known if number and name
    ]


def cache_related(objects: Iterable[Mapping[str, str]]) -> None:
    """Put the objects into the cache in which Prefect looks them up."""
    for one in objects:
        related = RelatedObject(**one)
        entry = {"kind": related.kind, "object": related}  # of which it takes the id and the name
        RESOURCE_CACHE[f"{related.kind}.{related.key}"] = (entry, datetime.now(UTC))  # type: ignore[assignment]
