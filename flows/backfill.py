"""The flow `backfill`: read a past span once more, in windows, beside live collection, which goes first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from blocks.errors import SourceError
from tasks import stopping
from tasks.backfill import Asked, open_backfill
from tasks.coverage import show_coverage
from tasks.pieces import start_pieces
from tasks.read_job import READERS_MAX, read_job

ApiName = Literal["sign-in", "itemUsage", "audit"]
# The form of the UI shows a calendar; from a command line it may be a date, a time or a duration before now.
When = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


@flow(
    name="backfill",
    flow_run_name="backfill {source}",
    task_runner=ThreadPoolTaskRunner(max_workers=READERS_MAX),  # type: ignore[arg-type]
    persist_result=False,
)
def backfill(  # noqa: PLR0917 - Prefect calls it by name
    source: str,
    start: When | None = None,
    end: When | None = None,
    apis: list[ApiName] | None = None,
    window: str = "1d",
    readers: Annotated[int, Field(ge=1, le=READERS_MAX)] = 4,
    pieces: Annotated[int, Field(ge=0, le=100)] = 0,
    job: str | None = None,
) -> State[Any]:
    """Read a past span of time again and store what is missing. Live collection goes on meanwhile, and goes first.

    Args:
        source: the name of the source, as in its configuration.
        start: where the span begins: a date (UTC), a time, or a duration before now such as 30d. Left out: the newest
            backfill of the source that is not finished goes on.
        end: where it ends, likewise; now where left out.
        apis: those to read; all of the source where left out.
        window: how long a part is that is read with a cursor of its own. Dense ones are cut.
        readers: how many windows are read at once.
        pieces: how many further runs share the work, on any workers of the work pool.
        job: the id of a backfill that is to go on.
    """
    asked = Asked(start, end, tuple(apis or ()), window, job)
    with stopping.on_signals():
        try:
            opened = open_backfill(source, asked)
            if pieces:
                start_pieces(source, opened.job.id, pieces, readers)
        except SourceError as failed:
            return Failed(name=failed.name, message=str(failed))
        state = read_job(source, opened, readers, done="Backfilled")
        show_coverage(source, return_state=True)  # whatever becomes of that, the events are stored
        return state
