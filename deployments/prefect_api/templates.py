"""The templates of all deployments, as prefect.yaml has them: one for each flow. Nothing here imports Prefect."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATES = Path(__file__).parents[1] / "prefect.yaml"
COLLECT, RECONCILE, BACKFILL, FORWARD, PRUNE = "collect", "reconcile", "backfill", "forward", "prune"
"""The names of the flows, and of their templates."""
POOL_TYPE = "onepassword-source"

Spec = dict[str, Any]
"""One entry of `deployments` in prefect.yaml, in Prefect's own form."""


def read_template(flow: str) -> Spec:
    """The template of a flow."""
    return _templates()[flow]


def flow_name(spec: Spec) -> str:
    return str(spec["entrypoint"]).rpartition(".")[2]


def work_pool() -> str:
    """The name of the work pool that all deployments use."""
    return str(_templates()[COLLECT]["work_pool"]["name"])


def interval(flow: str) -> int:
    """The seconds between two runs of a flow, as its schedule says."""
    return int(read_template(flow)["schedules"][0]["interval"])


@cache
def _templates() -> dict[str, Spec]:
    return {flow_name(entry): entry for entry in yaml.safe_load(TEMPLATES.read_bytes())["deployments"]}
