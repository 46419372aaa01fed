"""Open a backfill: create the requested job, or find the unfinished one to continue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import task
from prefect.runtime import task_run

from blocks import clock
from blocks.durations import parse_span, parse_width
from blocks.errors import ThirdPartyConfigError
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, JobRequest, JobView
from tasks import attempts
from tasks.support.job import OpenedJob, open_and_register

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """A span to read, with its APIs and the width of its windows; or a job to continue."""

    start: str | None = None
    end: str | None = None
    apis: tuple[str, ...] = ()
    width: str = "1d"
    job: str | None = None


@task(name="open backfill", **attempts.TASK_OPTIONS)
def open_backfill(source: str, request: BackfillRequest) -> OpenedJob:
    """Load the block of `source`, and create the requested job or find the one to continue.

    Without a job and a start, that is the newest unfinished backfill of the source. Raises ThirdPartyConfigError if
    the request is not valid.
    """
    with attempts.attempt_in_memory(str(task_run.id)):
        opened_ns = clock.now_ns()
        engine, record = open_and_register(source)
        if request.job is not None or request.start is None:
            return OpenedJob(record.id, opened_ns, _unfinished(engine, record.id, request), ())
        span = parse_span(request.start, request.end, opened_ns)
        apis = jobs.choose_apis(request.apis, record.apis)
        wanted = JobRequest(BACKFILL, record.id, apis, span.start_ns, span.end_ns)
        job = jobs.start(engine, wanted, parse_width(request.width))
        return OpenedJob(record.id, opened_ns, job, span.notes)


def _unfinished(engine: Engine, source_id: str, request: BackfillRequest) -> JobView:
    if request.job is not None:
        job = jobs.find(engine, request.job)
        if job.source_id == source_id:
            return job
        raise ThirdPartyConfigError(
            f"The backfill {request.job!r} is of another source.",
            hint="`onepassword-source status NAME` shows those of a source that are not finished.",
            code="unknown-job",
        )
    left = jobs.unfinished(engine, source_id)
    if not left:
        raise ThirdPartyConfigError(
            "No backfill of this source is unfinished.",
            hint="Give the start of the span to read: `onepassword-source backfill NAME --start TIME`.",
            code="span",
        )
    jobs.set_paused(engine, left[0], paused=False)
    return left[0]
