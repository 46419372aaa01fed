"""The flow runs that `up` has under way on this machine, and how they end when it does.

Prefect's process worker kills its flow runs when it is stopped, and leaves them Running on the server for ever, each
with its concurrency slot. So `up` cancels them first, the way the Cancel button does, and settles what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.deploy import work_pool

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

STOPPED = "`onepassword-source up` was stopped. The next run goes on from the last page that was stored."
CRASHED = "The process of this run ended before the run did. The next run goes on from the last page that was stored."


def active(client: SyncPrefectClient) -> list[FlowRun]:
    """The runs of our work pool that a process has, or is about to have."""
    from prefect.client.schemas import filters  # noqa: PLC0415 - Prefect reads its settings at import
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415

    under_way = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    return client.read_flow_runs(
        work_pool_filter=filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[work_pool()])),
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=under_way))
        ),
    )


def cancel(client: SyncPrefectClient) -> int:
    """Ask every run under way to end, as the Cancel button does; how many there are."""
    from prefect.states import Cancelling  # noqa: PLC0415 - as above

    runs = active(client)
    for run in runs:
        if run.state is not None and not run.state.is_cancelling():
            client.set_flow_run_state(run.id, Cancelling(message=STOPPED))
    return len(runs)


def settle(client: SyncPrefectClient) -> int:
    """Give every run under way its last state. Only for when no process of theirs is left; how many there were."""
    from prefect.states import Cancelled, Crashed  # noqa: PLC0415 - as above

    runs = active(client)
    for run in runs:
        asked = run.state is not None and run.state.is_cancelling()
        client.set_flow_run_state(run.id, Cancelled(message=STOPPED) if asked else Crashed(message=CRASHED))
    return len(runs)
