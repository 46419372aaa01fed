"""Runs of a source: those under way are asked to end, and new ones are created.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from blocks.errors import FirstPartyGenericError
from deployments.deploy import deployments_of, find_deployment

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from sqlalchemy import Engine

SHORT_SECONDS = 10.0
"""How long a run may take to end where a new one is to go on at once; then its claims are taken away."""
LONG_SECONDS = 60.0
"""The same where the source is stopped, renamed or deleted."""
POLL_SECONDS = 0.25


def end(engine: Engine, source_id: str, seconds: float = LONG_SECONDS) -> bool:
    """Ask the runs that read a source to end after the page in hand, and wait until they have.

    False where they were not done in time: then their claims were taken away, so that they write nothing more.
    """
    from blocks.store import lifecycle, sources, streams  # noqa: PLC0415 - 0.5 s

    sources.request_stop(engine, source_id)
    deadline = time.monotonic() + seconds
    while streams.are_claimed(engine, source_id):
        if time.monotonic() > deadline:
            lifecycle.revoke(engine, source_id)
            return False
        time.sleep(POLL_SECONDS)
    return True


def create(source: str) -> UUID:
    """Have the deployment of a source run now. Returns the id of the run, which is named `collect SOURCE`."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = find_deployment(client, source)
        if found is None:
            raise FirstPartyGenericError(
                f"There is no deployment of {source!r} on the Prefect server.",
                hint="Apply its file again; `onepassword-source export` writes it.",
                code="prefect",
            )
        return client.create_flow_run_from_deployment(found.id, name=f"collect {source}").id


def set_paused(source: str, *, paused: bool) -> bool:
    """Pause or resume the schedules of a source; False where there is no deployment.

    A pause takes the planned runs away. Runs that are created by hand run all the same.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = [one for one in deployments_of(client, source) if one.schedules]
        for one in found:
            (client.pause_deployment if paused else client.resume_deployment)(one.id)
        return bool(found)


def is_paused(source: str) -> bool:
    """Whether the deployment of a source is paused; False where there is none."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = find_deployment(client, source)
        return found is not None and bool(found.paused)


def cancel_waiting(source: str, why: str) -> None:
    """Cancel the runs of a source that no process has yet."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        _cancel_waiting(client, [one.id for one in deployments_of(client, source)], why)


def _cancel_waiting(client: SyncPrefectClient, deployments: list[UUID], why: str) -> None:
    from prefect.client.schemas import filters  # noqa: PLC0415 - see the module's docstring
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415
    from prefect.states import Cancelled  # noqa: PLC0415

    if not deployments:
        return
    waiting = filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])
    found = client.read_flow_runs(
        deployment_filter=filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=deployments)),
        flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=waiting)),
    )
    for run in found:
        client.set_flow_run_state(run.id, Cancelled(message=why))
