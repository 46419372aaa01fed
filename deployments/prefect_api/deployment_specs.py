"""The deployments of a source as they should be: the templates of prefect.yaml, filled in.

Nothing here imports Prefect.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocks.prefect_names import deployment_name
from deployments.prefect_api.schedules import staggered_schedules
from deployments.prefect_api.templates import BACKFILL, COLLECT, RECONCILE, Spec, flow_name, read_template

OF_A_SOURCE = (COLLECT, RECONCILE, BACKFILL)
"""The flows that each source has a deployment of."""
SOURCE = "{{ $SOURCE }}"


@dataclass(frozen=True)
class SourceDeployment:
    """What the deployments of a source say about it. `tags` come after the template's own."""

    source: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    entrypoint: str | None = None
    """Another flow than the template's, as `module.function`."""
    paused: bool = False
    """True if new deployments start paused. Existing ones stay as they are."""
    source_id: str | None = None
    """The immutable id of the source: runs find it by this, and its ticks follow from this (else from its name)."""


def source_specs(deployment: SourceDeployment) -> list[Spec]:
    """The deployments of a source: the one that collects it first. One with a flow of its own has no others."""
    if deployment.entrypoint is not None:
        return [_fill(read_template(COLLECT), deployment)]
    return [_fill(read_template(flow), deployment) for flow in OF_A_SOURCE]


def _fill(template: Spec, wanted: SourceDeployment) -> Spec:
    parameters = {k: wanted.source if v == SOURCE else v for k, v in template["parameters"].items()}
    about = wanted.description if flow_name(template) == COLLECT else None
    return {
        **template,
        "name": deployment_name(wanted.source),
        "description": about or template["description"],
        "entrypoint": wanted.entrypoint or template["entrypoint"],
        "tags": list(dict.fromkeys([*template["tags"], *wanted.tags])),
        "parameters": {**parameters, "source_id": wanted.source_id} if wanted.source_id else parameters,
        "schedules": staggered_schedules(template, wanted.source_id or wanted.source),
    }
