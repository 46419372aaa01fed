"""The watchdog of `up`, with its probes and listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import up_health
from deployments.one_machine import notifier
from deployments.one_machine.disk_probe import disk_probe
from deployments.one_machine.probes import Probes, probe_runs, server_probe, worker_probe
from deployments.one_machine.watchdog import Watchdog

if TYPE_CHECKING:
    from pathlib import Path

    from deployments.one_machine.dead_mans_switch import DeadMansSwitch


def watchdog(api_url: str, worker_heartbeat: Path, switch: DeadMansSwitch | None = None) -> Watchdog:
    """A watchdog, not started, of the server at `api_url` and of the worker that touches `worker_heartbeat`.

    Call it after the environment of our own Prefect is set.
    """
    probes = Probes(server_probe(api_url), worker_probe(worker_heartbeat), probe_runs, disk_probe())
    listeners = [one for one in (notifier.from_settings(api_url), switch) if one is not None]
    return Watchdog(probes, up_health.path(), listeners=listeners)
