"""The flow `backfill`: read a past span of time again, in windows, beside live collection, which goes first.

Open the backfill job, start its parallel runs, read its windows, start forwarding, show the coverage.
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from blocks.errors import SourceError
from flows.form import Apis, Line, When, leave_out_none
from tasks import verdict
from tasks.open_backfill import BackfillRequest, open_backfill
from tasks.read_job import READERS_MAX, read_job
from tasks.run_state import conclude, exit_while_waiting
from tasks.show_coverage import show_coverage
from tasks.start_forward import start_forwards
from tasks.support import stopping
from tasks.support.parallel_runs import run_name, start_parallel_runs
from tasks.support.source import current_name


@flow(
    name="backfill",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=READERS_MAX),  # type: ignore[arg-type]
    persist_result=False,
)
def backfill(  # noqa: PLR0917 - Prefect calls it by name
    source: str,
    start: When = None,
    end: When = None,
    apis: Apis = None,
    window: str = "1d",
    readers: Annotated[int, Field(ge=1, le=READERS_MAX)] = 4,
    parallel_runs: Annotated[int, Field(ge=0, le=100)] = 0,
    job: Line = None,
    source_id: Line = None,
) -> State[Any]:
    """Read a past span of time again and store what is missing. Live collection goes on meanwhile, and goes first.

    Args:
        source: The name of the source, as in its configuration.
        start: The start of the span. Without it, the newest unfinished backfill of the source continues. In JSON and
            on a command line it may also be a date (UTC), or a duration before now such as 30d.
        end: The end of the span, in the same forms. Default: now.
        apis: The APIs to read: sign-in, itemUsage, audit. Default: all that the source collects.
        window: The length of a window, which is read with a cursor of its own: 6h or 1d. Dense windows are split.
        readers: How many windows this run reads at once, 1 to 16.
        parallel_runs: How many further runs share the work, on any workers of the work pool, 0 to 100.
        job: The id of a backfill to continue. Parallel runs are started with it.
        source_id: The id of the source. With it, a queued run finds the source after a rename. Not needed by hand.
    """
    request = BackfillRequest(start, end, tuple(apis or ()), window, job)
    with stopping.on_signals(exit_while_waiting):
        source = current_name(source, source_id)
        try:
            opened = open_backfill(source, request)
            if parallel_runs:
                start_parallel_runs(source, opened.job.id, parallel_runs, readers)
        except SourceError as failed:
            return conclude(verdict.error_verdict(failed))
        state = read_job(source, opened, readers, done="Backfilled")
        start_forwards(source, opened.source_id)
        show_coverage(source, return_state=True)  # even if that fails, the events are stored
        return state


leave_out_none(backfill)
