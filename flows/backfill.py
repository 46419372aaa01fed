"""The flow `backfill`: read a past span once more, in windows, beside live collection, which goes first."""

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
    pieces: Annotated[int, Field(ge=0, le=100)] = 0,
    job: Line = None,
    source_id: Line = None,
) -> State[Any]:
    """Read a past span of time again and store what is missing. Live collection goes on meanwhile, and goes first.

    Args:
        source: The name of the source, as in its configuration.
        start: Where the span begins. Left out: the newest backfill of the source that is not finished goes on. As JSON
            or on a command line also a date (UTC), or a duration before now such as 30d.
        end: Where it ends, likewise. Left out: now.
        apis: Those to read: sign-in, itemUsage, audit. Left out: all that the source collects.
        window: How long a part is that is read with a cursor of its own, such as 6h or 1d. Dense ones are cut.
        readers: How many windows this run reads at once, 1 to 16.
        pieces: How many further runs share the work, on any workers of the work pool, 0 to 100.
        job: The id of a backfill that is to go on; its further runs are started with it.
        source_id: The source's id, by which a queued run finds it after a rename. Left out in a run started by hand.
    """
    asked = BackfillRequest(start, end, tuple(apis or ()), window, job)
    with stopping.on_signals(exit_while_waiting):
        source = current_name(source, source_id)
        try:
            opened = open_backfill(source, asked)
            if pieces:
                start_parallel_runs(source, opened.job.id, pieces, readers)
        except SourceError as failed:
            return conclude(verdict.error_verdict(failed))
        state = read_job(source, opened, readers, done="Backfilled")
        start_forwards(source, opened.source_id)
        show_coverage(source, return_state=True)  # whatever becomes of that, the events are stored
        return state


leave_out_none(backfill)
