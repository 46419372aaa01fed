"""The names of what a run belongs to, handed over by the worker, so that the run need not request them.

Each process that emits an event of a run reads the flow, the deployment, the work queue and the work pool for their
names, once. The worker has them all.
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
    """What an event says of an object that its run belongs to: `key` is what the run knows it by, `id` its own."""

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
    """Have Prefect find them where it keeps what it has read before."""
    for one in objects:
        related = RelatedObject(**one)
        entry = {"kind": related.kind, "object": related}  # of which it takes the id and the name
        RESOURCE_CACHE[f"{related.kind}.{related.key}"] = (entry, datetime.now(UTC))  # type: ignore[assignment]
