"""The deployments of a source as they should be: the templates of prefect.yaml, filled in.

Nothing here imports Prefect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from blocks.prefect_names import deployment_name
from deployments import tick_offsets

TEMPLATES = Path(__file__).parents[1] / "prefect.yaml"
COLLECT, RECONCILE, BACKFILL, FORWARD, PRUNE = "collect", "reconcile", "backfill", "forward", "prune"
"""The names of the flows, and of their templates."""
OF_A_SOURCE = (COLLECT, RECONCILE, BACKFILL)
"""The flows that each source has a deployment of."""
SOURCE = "{{ $SOURCE }}"
POOL_TYPE = "onepassword-source"
TICKS = {COLLECT: tick_offsets.COLLECT, RECONCILE: tick_offsets.RECONCILE, FORWARD: tick_offsets.FORWARD}

Spec = dict[str, Any]
"""One entry of `deployments` in prefect.yaml, in Prefect's own form."""


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


def read_template(flow: str) -> Spec:
    """The template of a flow."""
    return _templates()[flow]


def flow_name(spec: Spec) -> str:
    return str(spec["entrypoint"]).rpartition(".")[2]


def work_pool() -> str:
    """The name of the work pool that all deployments use."""
    return str(_templates()[COLLECT]["work_pool"]["name"])


def source_specs(wanted: SourceDeployment) -> list[Spec]:
    """The deployments of a source: the one that collects it first. One with a flow of its own has no others."""
    if wanted.entrypoint is not None:
        return [_fill(read_template(COLLECT), wanted)]
    return [_fill(read_template(flow), wanted) for flow in OF_A_SOURCE]


def staggered_schedules(template: Spec, key: str) -> list[dict[str, Any]]:
    """The schedules of a template, moved to the time that belongs to `key`, such as a source's id."""
    ticks = TICKS.get(flow_name(template))
    if ticks is None:
        return list(template["schedules"])
    return [{**entry, "anchor_date": ticks.anchor(key)} for entry in template["schedules"]]


@cache
def _templates() -> dict[str, Spec]:
    return {flow_name(entry): entry for entry in yaml.safe_load(TEMPLATES.read_bytes())["deployments"]}


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
