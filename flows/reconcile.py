"""The flow `reconcile`: read the recent past again, and compare it with the store by uuid.

Open the reconcile job, read its windows, assess the source, start forwarding, show the coverage.
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from blocks.errors import SourceError
from flows.form import Apis, Line, leave_out_none
from tasks import verdict
from tasks.open_reconcile import open_reconcile
from tasks.read_job import READERS_MAX, read_job
from tasks.run_monitor import assess_and_publish
from tasks.run_state import conclude, exit_while_waiting
from tasks.show_coverage import show_coverage
from tasks.start_forward import start_forwards
from tasks.support import stopping
from tasks.support.source import current_name
from tasks.verdict import Verdict

DONE = "Reconciled"
NOTHING = "No API was read to its end in the last {}, or all are stopped in error: there is nothing to compare."


@flow(
    name="reconcile",
    flow_run_name="reconcile {source}",
    task_runner=ThreadPoolTaskRunner(max_workers=READERS_MAX),  # type: ignore[arg-type]
    persist_result=False,
)
def reconcile(
    source: str,
    last: str = "48h",
    apis: Apis = None,
    readers: Annotated[int, Field(ge=1, le=READERS_MAX)] = 2,
    source_id: Line = None,
) -> State[Any]:
    """Read the recent past again and compare it with your database. Missing events are stored at once, and marked.

    The next complete collection shows whether they were late or missed.

    Args:
        source: The name of the source, as in its configuration.
        last: How far back to read, such as 48h or 7d.
        apis: The APIs to compare: sign-in, itemUsage, audit. Default: all that the source collects.
        readers: How many windows this run reads at once, 1 to 16.
        source_id: The id of the source. With it, a queued run finds the source after a rename. Not needed by hand.
    """
    with stopping.on_signals(exit_while_waiting):
        source = current_name(source, source_id)
        try:
            opened = open_reconcile(source, last, tuple(apis or ()))
        except SourceError as failed:
            return conclude(verdict.error_verdict(failed))
        if opened is None:
            return conclude(Verdict(DONE, NOTHING.format(last)))
        state = read_job(source, opened, readers, done=DONE)
        assess_and_publish(source, opened.source_id)
        start_forwards(source, opened.source_id)
        show_coverage(source, return_state=True)  # even if that fails, the events are compared
        return state


leave_out_none(reconcile)
