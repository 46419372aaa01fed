"""The flow runs that `up` has under way on this machine, and how they end when it does.

Prefect's process worker kills its flow runs at once when it is stopped, and leaves them Running on the server for
ever, each with its concurrency slot. So `up` first asks each run's process to end, and settles what is left after.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployments.deploy import work_pool

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

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


@dataclass
class Ending:
    """Asks runs to end, each once: a second SIGTERM would break off the page in hand."""

    client: SyncPrefectClient
    group: int
    """The process group of the worker, which its runs belong to."""
    _asked: set[UUID] = field(default_factory=set)

    def ask(self) -> int:
        """Ask the runs that were not asked yet. How many are still under way."""
        found = active(self.client)
        for run in found:
            if run.id not in self._asked and self._ask(run):
                self._asked.add(run.id)
        return len(found)

    def _ask(self, run: FlowRun) -> bool:
        from prefect.states import Cancelling  # noqa: PLC0415 - as above

        if run.state is not None and run.state.is_pending():
            self.client.set_flow_run_state(run.id, Cancelling(message=STOPPED))
            return True
        return _terminate(run.infrastructure_pid, self.group)


def _terminate(pid: str | None, group: int) -> bool:
    """Send SIGTERM to a process of this group; False where there is none with this pid."""
    try:
        number = int(pid or "")
        if os.getpgid(number) != group:
            return False
        os.kill(number, signal.SIGTERM)
    except (ValueError, ProcessLookupError):
        return False
    return True


def settle_stopped(client: SyncPrefectClient) -> None:
    """Cancel the runs that did not end in time. Only for when no process of theirs is left."""
    from prefect.states import Cancelled  # noqa: PLC0415 - as above

    _settle(client, Cancelled(name="Stopped", message=STOPPED))


def settle_crashed(client: SyncPrefectClient) -> None:
    """End the runs whose processes died with their worker. Only for when no process of theirs is left."""
    from prefect.states import Crashed  # noqa: PLC0415 - as above

    _settle(client, Crashed(message=CRASHED))


def _settle(client: SyncPrefectClient, state: State) -> None:
    from prefect.states import Cancelled  # noqa: PLC0415 - as above

    for run in active(client):
        cancelling = run.state is not None and run.state.is_cancelling()
        client.set_flow_run_state(run.id, Cancelled(message=STOPPED) if cancelling else state)
