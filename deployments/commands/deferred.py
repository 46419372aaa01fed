"""The modules that import Prefect or SQLModel, each imported at its first use.

Prefect reads its settings from the environment when it is imported, so that must not happen before
`prefect_server.prefect()` has prepared it. It also takes more than a second, which `--help`, completion, wrong use and
the commands that only read the store do not pay. So commands import this module at their top, and write
`deferred.lifecycle.restart(…)` within `prefect()`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: PLC0414 - `as` says that these names are for others
if TYPE_CHECKING:
    from blocks.siem import configuration as configuration
    from blocks.siem import prepare as prepare
    from blocks.store import forwards as forwards
    from blocks.store import jobs as jobs
    from blocks.store import outgoing as outgoing
    from blocks.store import plan as plan
    from blocks.store import positions as positions
    from blocks.store import refused as refused
    from deployments import automations as automations
    from deployments import forwarding as forwarding
    from deployments import lifecycle as lifecycle
    from deployments import new_token as new_token
    from deployments import retention as retention
    from deployments import running as running
    from deployments import siems as siems
    from deployments import sources as sources
    from flows import backfill as backfill
    from flows import collect as collect
    from flows import forward as forward
    from flows import reconcile as reconcile
    from tasks import final_state as final_state
    from tasks import job as job
    from tasks import open_forward as open_forward
    from tasks import siem as siem
    from tasks import stopping as stopping

_MODULES = {
    "automations": "deployments.automations",
    "backfill": "flows.backfill",
    "collect": "flows.collect",
    "final_state": "tasks.final_state",
    "forward": "flows.forward",
    "forwarding": "deployments.forwarding",
    "forwards": "blocks.store.forwards",
    "job": "tasks.job",
    "jobs": "blocks.store.jobs",
    "lifecycle": "deployments.lifecycle",
    "new_token": "deployments.new_token",
    "open_forward": "tasks.open_forward",
    "outgoing": "blocks.store.outgoing",
    "plan": "blocks.store.plan",
    "positions": "blocks.store.positions",
    "prepare": "blocks.siem.prepare",
    "reconcile": "flows.reconcile",
    "refused": "blocks.store.refused",
    "retention": "deployments.retention",
    "running": "deployments.running",
    "configuration": "blocks.siem.configuration",
    "siem": "tasks.siem",
    "siems": "deployments.siems",
    "sources": "deployments.sources",
    "stopping": "tasks.stopping",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_MODULES[name])
    globals()[name] = module
    return module
