"""Start the forward runs of a source after each run that reads, for each pair that has unsent events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from prefect import get_client, get_run_logger
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.exceptions import PrefectException

from blocks.errors import SourceError
from blocks.prefect_names import forward_name
from blocks.store.forwarding import backlog
from tasks.support.source import store_if_open

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

    from blocks.store.forwarding.records import ForwardPair

FLOW = "forward"


def start_forwards(source: str, source_id: str) -> int:
    """Create a run for each pair of `source` that has unsent events and no run that is due. Returns their number.

    A pair without a deployment, or with a paused one, is left out. If the store or Prefect does not answer, the next
    run of the source tries again.
    """
    if (engine := store_if_open(source_id)) is None:
        return 0
    try:
        pairs = backlog.pairs_with_work(engine, source)
        return _start(pairs) if pairs else 0
    except SourceError as error:
        get_run_logger().warning("Forwarding was not started. The next run tries again. %s", error)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        why = type(error).__name__
        get_run_logger().warning("Forwarding could not be started in Prefect (%s). The next run tries again.", why)
    return 0


def _start(pairs: list[ForwardPair]) -> int:
    names = {forward_name(pair.source, pair.siem): pair for pair in pairs}
    with get_client(sync_client=True) as client:
        found = {one.id: one for one in _deployments(client, list(names)) if not one.paused}
        waiting = _waiting(client, list(found)) if found else set()
        fresh = [one for key, one in found.items() if key not in waiting]
        for one in fresh:
            pair = names[one.name]
            client.create_flow_run_from_deployment(one.id, name=f"{FLOW} {pair.source} to {pair.siem}")
    return len(fresh)


def _deployments(client: SyncPrefectClient, names: list[str]) -> list[DeploymentResponse]:
    return client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[FLOW])),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=names)),
    )


def _waiting(client: SyncPrefectClient, deployments: list[UUID]) -> set[UUID | None]:
    """The deployments with a run that is due and has not begun: that run will send everything.

    A running one does not count. It may retry another API for a long time; claims keep the two runs apart.
    """
    not_begun = filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])
    runs = client.read_flow_runs(
        deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=deployments)),
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=not_begun),
            expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
    )
    return {run.deployment_id for run in runs}
