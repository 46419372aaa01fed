"""The deployment of each pair of source and SIEM. A collection that found something starts a run of it.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from blocks.prefect_names import forward_name
from deployments.prefect_api.deploy import find_by_name, remove_by_name
from deployments.prefect_api.schedules import staggered_schedules
from deployments.prefect_api.templates import FORWARD, read_template

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State
    from prefect.client.schemas.responses import DeploymentResponse

    from blocks.store.forwarding.records import ForwardPair
    from deployments.prefect_api.deploy import Change, Deployer


def deploy(deployer: Deployer, pair: ForwardPair) -> Change:
    """Create or update the deployment of a pair. If nothing differs, nothing is written."""
    return deployer.deploy(spec_of_pair(pair), paused=pair.paused_ns is not None)


def spec_of_pair(pair: ForwardPair) -> dict[str, Any]:
    """The deployment of a pair as it should be."""
    return spec_of(pair.source_id, pair.source, pair.siem)


def spec_of(source_id: str, source: str, siem: str) -> dict[str, Any]:
    """The deployment of a pair that need not exist yet."""
    template = read_template(FORWARD)
    return {
        **template,
        "name": forward_name(source, siem),
        "description": f"Forwards what is new of {source} to {siem}: right after a collection that found something, "
        "and once an hour.",
        "parameters": {"source": source, "siem": siem, "source_id": source_id},
        "schedules": staggered_schedules(template, f"{source_id} {siem}"),
    }


def remove_deployment(source: str, siem: str) -> bool:
    """Remove the deployment of a pair. False if there is none."""
    return remove_by_name(FORWARD, forward_name(source, siem))


def remove_all(pairs: Iterable[ForwardPair], source: str) -> None:
    """Remove the deployments of several pairs of a source, under this name of the source."""
    for pair in pairs:
        remove_deployment(source, pair.siem)


def find(client: SyncPrefectClient, source: str, siem: str) -> DeploymentResponse | None:
    """The deployment of a pair, or None."""
    return find_by_name(client, FORWARD, forward_name(source, siem))


def set_paused(source: str, siem: str, *, paused: bool) -> bool:
    """Pause or resume the schedule of a pair. False if it has no deployment."""
    with get_client(sync_client=True) as client:
        found = find(client, source, siem)
        if found is not None:
            (client.pause_deployment if paused else client.resume_deployment)(found.id)
        return found is not None


def run_now(source: str, siem: str, after_seconds: float = 0) -> UUID | None:
    """Forward now, or a little later, on a worker. Returns the id of the run; None if the pair has no deployment."""
    at = datetime.now(UTC) + timedelta(seconds=after_seconds)
    state: State[None] = Scheduled(scheduled_time=at)
    with get_client(sync_client=True) as client:
        found = find(client, source, siem)
        if found is None:
            return None
        return client.create_flow_run_from_deployment(found.id, name=f"forward {source} to {siem}", state=state).id
