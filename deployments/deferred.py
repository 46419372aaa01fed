"""Modules that import Prefect or SQLModel. Each is imported at its first use.

Prefect reads its settings from the environment when it is imported, so `prefect_session` must prepare the environment
first. The import also takes more than a second, which `--help`, completion, wrong use and the commands that only read
the store do not need. So commands import this module at the top, and use `deferred.lifecycle.restart(…)` within a
`prefect_session`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# ruff: noqa: PLC0414 - `as` exports these names
if TYPE_CHECKING:
    from blocks.siem import configuration as configuration
    from blocks.siem.delivery import prepare as prepare
    from blocks.store.backfill import jobs as jobs
    from blocks.store.backfill import plan as plan
    from blocks.store.forwarding import forward_pairs as forward_pairs
    from blocks.store.forwarding import positions as positions
    from blocks.store.forwarding import rejected_events as rejected_events
    from blocks.store.forwarding import replay as replay
    from blocks.store.forwarding import unsent_events as unsent_events
    from blocks.store.transfer import moving as moving
    from deployments import backfill_plan as backfill_plan
    from deployments import forward_deployments as forward_deployments
    from deployments import lifecycle as lifecycle
    from deployments import prune_deployment as prune_deployment
    from deployments import siem_actions as siem_actions
    from deployments import siem_samples as siem_samples
    from deployments import siems as siems
    from deployments import source_apply as source_apply
    from deployments import sources as sources
    from deployments.backups import backup as backup
    from deployments.backups import restore as restore
    from deployments.backups import store_blocks as store_blocks
    from deployments.prefect_api import server_state as server_state
    from deployments.prefect_api import source_runs as source_runs
    from flows import backfill as backfill
    from flows import collect as collect
    from flows import forward as forward
    from flows import reconcile as reconcile
    from tasks import open_forward as open_forward
    from tasks import run_state as run_state
    from tasks.support import job as job
    from tasks.support import siem as siem
    from tasks.support import stopping as stopping

_MODULES = {
    "backfill": "flows.backfill",
    "backfill_plan": "deployments.backfill_plan",
    "backup": "deployments.backups.backup",
    "collect": "flows.collect",
    "run_state": "tasks.run_state",
    "forward": "flows.forward",
    "forward_deployments": "deployments.forward_deployments",
    "forward_pairs": "blocks.store.forwarding.forward_pairs",
    "job": "tasks.support.job",
    "moving": "blocks.store.transfer.moving",
    "restore": "deployments.backups.restore",
    "store_blocks": "deployments.backups.store_blocks",
    "jobs": "blocks.store.backfill.jobs",
    "lifecycle": "deployments.lifecycle",
    "open_forward": "tasks.open_forward",
    "unsent_events": "blocks.store.forwarding.unsent_events",
    "plan": "blocks.store.backfill.plan",
    "positions": "blocks.store.forwarding.positions",
    "prepare": "blocks.siem.delivery.prepare",
    "reconcile": "flows.reconcile",
    "replay": "blocks.store.forwarding.replay",
    "rejected_events": "blocks.store.forwarding.rejected_events",
    "prune_deployment": "deployments.prune_deployment",
    "server_state": "deployments.prefect_api.server_state",
    "source_apply": "deployments.source_apply",
    "source_runs": "deployments.prefect_api.source_runs",
    "configuration": "blocks.siem.configuration",
    "siem": "tasks.support.siem",
    "siem_actions": "deployments.siem_actions",
    "siem_samples": "deployments.siem_samples",
    "siems": "deployments.siems",
    "sources": "deployments.sources",
    "stopping": "tasks.support.stopping",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_MODULES[name])
    globals()[name] = module
    return module
