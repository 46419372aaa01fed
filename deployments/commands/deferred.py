"""The modules that import Prefect, each imported at its first use.

Prefect reads its settings from the environment when it is imported, so that must not happen before
`prefect_server.prefect()` has prepared it. It also takes more than a second, which `--help`, completion, wrong use and
the commands that only read the store do not pay. So commands import this module at their top, and write
`deferred.lifecycle.restart(…)` within `prefect()`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "automations",
    "backfill",
    "collect",
    "forward",
    "forwarding",
    "forwards",
    "job",
    "lifecycle",
    "new_token",
    "open_forward",
    "outgoing",
    "positions",
    "prepare",
    "reconcile",
    "refused",
    "retention",
    "running",
    "siem_configuration",
    "siem_task",
    "siems",
    "sources",
    "stopping",
]

_MODULES = {
    "automations": "deployments.automations",
    "backfill": "flows.backfill",
    "collect": "flows.collect",
    "forward": "flows.forward",
    "forwarding": "deployments.forwarding",
    "forwards": "blocks.store.forwards",
    "job": "tasks.job",
    "lifecycle": "deployments.lifecycle",
    "new_token": "deployments.new_token",
    "open_forward": "tasks.open_forward",
    "outgoing": "blocks.store.outgoing",
    "positions": "blocks.store.positions",
    "prepare": "blocks.siem.prepare",
    "reconcile": "flows.reconcile",
    "refused": "blocks.store.refused",
    "retention": "deployments.retention",
    "running": "deployments.running",
    "siem_configuration": "blocks.siem.configuration",
    "siem_task": "tasks.siem",
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
