"""The runs of a source: stops those under way, creates new ones, moves those that wait.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Scheduled

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.prefect_names import deployment_name
from blocks.store import lifecycle, source_status, sources, streams
from deployments.prefect_api.deploy import (
    PAGE,
    deployments_of,
    find_by_name,
    find_deployment,
    find_deployments,
    parallel_requests,
)
from deployments.prefect_api.schedules import COLLECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.client.schemas.responses import DeploymentResponse
    from sqlalchemy import Engine

SHORT_SECONDS = 10.0
"""How long a run may take to end if a new run is to continue at once. After that its claims are revoked."""
LONG_SECONDS = 60.0
"""The same limit if the source is stopped, renamed or deleted."""
POLL_SECONDS = 0.25
STAGGER_SECONDS = 1.0
"""The delay between the runs of several sources: about the time that a small machine takes for one run."""


def stop_runs(engine: Engine, source_id: str, seconds: float = LONG_SECONDS) -> bool:
    """Request the runs of a source to end after the current page, and wait until they have.

    False if they did not end in time. Then their claims were revoked, so that they write nothing more.
    """
    sources.request_stop(engine, source_id)
    deadline = time.monotonic() + seconds
    while streams.are_claimed(engine, source_id):
        if time.monotonic() > deadline:
            lifecycle.revoke(engine, source_id)
            return False
        time.sleep(POLL_SECONDS)
    return True


def create_run(source: str) -> UUID:
    """Run the deployment of a source now. Returns the id of the run, which is named `collect SOURCE`."""
    return create_runs([source])[source]


def create_runs(sources: Sequence[str]) -> dict[str, UUID]:
    """Run several sources: the first now, each further one a second later. Returns the ids of the runs by source.

    Raises FirstPartyGenericError if a source has no deployment.
    """
    with get_client(sync_client=True) as client:
        found = find_deployments(client, sources)
        missing = next((source for source in sources if source not in found), None)
        if missing is not None:
            raise _no_deployment(missing)
        with ThreadPoolExecutor(parallel_requests()) as pool:
            runs = [
                pool.submit(_create_run, client, found[source].id, source, place * STAGGER_SECONDS)
                for place, source in enumerate(sources)
            ]
            return {source: run.result() for source, run in zip(sources, runs, strict=True)}


def create_job_run(flow: str, source: str, parameters: Mapping[str, Any]) -> UUID:
    """Run the deployment of a source's flow `backfill` or `reconcile` now, with these parameters. Returns its id.

    Raises FirstPartyGenericError if the source has no such deployment.
    """
    with get_client(sync_client=True) as client:
        found = find_by_name(client, flow, deployment_name(source))
        if found is None:
            raise _no_deployment(source)
        run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters), name=f"{flow} {source}")
        return run.id


def create_due_runs(engine: Engine) -> list[str]:
    """Create runs for the sources that were not read to the end within the last tick. Returns their names.

    Skips sources that are stopped or in error, that have a run which waits or is under way, or whose own tick comes
    first. So the first `up` after an `apply` or after a pause collects at once, one source a second.
    """
    due = _due_sources(engine)
    if not due:
        return []
    created: list[str] = []
    with get_client(sync_client=True) as client:
        found = find_deployments(client, list(due))
        busy = _deployments_with_open_runs(client, [one.id for one in found.values()])
        for source, deployment in found.items():
            seconds = len(created) * STAGGER_SECONDS
            if deployment.id not in busy and COLLECT.seconds_until(due[source]) >= seconds:
                _create_run(client, deployment.id, source, seconds)
                created.append(source)
    return created


def _due_sources(engine: Engine) -> dict[str, str]:
    """The names and ids of the sources that a run would read, the one that has waited longest first."""
    since_ns = clock.now_ns() - COLLECT.every * 10**9
    found: list[tuple[int, str, str]] = []
    for source in source_status.sources(engine):
        read = [one.drained_ns or 0 for one in source.streams if one.api in source.apis and not one.stopped]
        if source.paused_ns is None and read and min(read) < since_ns:
            found.append((min(read), source.name, source.id))
    return {name: source_id for _, name, source_id in sorted(found)}


def _deployments_with_open_runs(client: SyncPrefectClient, deployments: list[UUID]) -> set[UUID]:
    """The deployments with a run that should have begun by now and has not ended."""
    open_ = filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING])
    begun = filters.FlowRunFilter(
        state=filters.FlowRunFilterState(type=open_),
        expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    return {run.deployment_id for run in _read_runs(client, deployments, begun) if run.deployment_id}


def _read_runs(client: SyncPrefectClient, deployments: Sequence[UUID], wanted: FlowRunFilter) -> list[FlowRun]:

    found: list[FlowRun] = []
    for start in range(0, len(deployments), PAGE):
        some = filters.DeploymentFilterId(any_=list(deployments[start : start + PAGE]))
        of_some = filters.DeploymentFilter(id=some)
        before = len(found)
        while page := client.read_flow_runs(
            deployment_filter=of_some, flow_run_filter=wanted, limit=PAGE, offset=len(found) - before
        ):
            found += page
    return found


def _create_run(client: SyncPrefectClient, deployment: UUID, source: str, seconds: float) -> UUID:

    state: State[None] = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(seconds=seconds))
    return client.create_flow_run_from_deployment(deployment, name=f"collect {source}", state=state).id


def _no_deployment(source: str) -> FirstPartyGenericError:
    return FirstPartyGenericError(
        f"There is no deployment of {source!r} on the Prefect server.",
        hint="Apply its file again. `onepassword-source export` writes that file.",
        code="prefect",
    )


def set_paused(source: str, *, paused: bool) -> bool:
    """Pause or resume the schedules of a source. False if it has no deployment.

    A pause removes the planned runs. Runs that a person creates are still run.
    """
    with get_client(sync_client=True) as client:
        found = [one for one in deployments_of(client, source) if one.schedules]
        for one in found:
            (client.pause_deployment if paused else client.resume_deployment)(one.id)
        return bool(found)


def is_paused(source: str) -> bool:
    """True if the deployment of a source is paused. False if it has none."""
    with get_client(sync_client=True) as client:
        found = find_deployment(client, source)
        return found is not None and bool(found.paused)


def cancel_waiting(source: str, why: str) -> None:
    """Cancel the runs of a source that no process has taken yet."""
    with get_client(sync_client=True) as client:
        _cancel_waiting(client, [one.id for one in deployments_of(client, source)], why)


def move_waiting(
    client: SyncPrefectClient, was: DeploymentResponse, now: DeploymentResponse, names: tuple[str, str]
) -> None:
    """Move waiting runs to the deployment under the source's new name. `names` are the old and the new name.

    A planned run that is not due yet is only cancelled: the other deployment has planned its own. A second call after a
    kill creates no run twice.
    """
    old, new = names
    for run in _read_runs(client, [was.id], _waiting_filter()):
        planned = run.expected_start_time or datetime.now(UTC)
        if not run.auto_scheduled or planned <= datetime.now(UTC):
            client.create_flow_run_from_deployment(
                now.id,
                parameters={**run.parameters, "source": new},
                name=run.name.replace(f" {old}", f" {new}", 1),
                state=Scheduled(scheduled_time=planned),
                idempotency_key=f"renamed {run.id}",
            )
        client.set_flow_run_state(run.id, Cancelled(message=f"The source is named {new} now."))


def _cancel_waiting(client: SyncPrefectClient, deployments: list[UUID], why: str) -> None:

    for run in _read_runs(client, deployments, _waiting_filter()):
        client.set_flow_run_state(run.id, Cancelled(message=why))


def _waiting_filter() -> FlowRunFilter:

    waiting = filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])
    return filters.FlowRunFilter(state=filters.FlowRunFilterState(type=waiting))
