"""Open a reconcile: the past span that live collection has read, of each API up to its last complete drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.runtime import task_run

from blocks import clock
from blocks.durations import parse_last
from blocks.store import streams
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import RECONCILE, JobRequest
from tasks import attempts
from tasks.support.job import OpenedJob, open_and_register

if TYPE_CHECKING:
    from blocks.events_api.models import Api

WIDTH_NS = 6 * 3600 * 10**9


@task(name="open reconcile", **attempts.TASK_OPTIONS)
def open_reconcile(source: str, last: str, apis: tuple[str, ...]) -> OpenedJob | None:
    """Load the block of `source` and create the job that compares the past `last` (48h, 7d) with the store.

    An API is compared up to the start of its last complete drain: live collection has not had time to read what is
    newer. An API that is stopped in error is left out. Returns None if there is nothing to compare. Raises
    ThirdPartyConfigError if the request is not valid.
    """
    with attempts.attempt_in_memory(str(task_run.id)):
        opened_ns = clock.now_ns()
        engine, record = open_and_register(source)
        span = parse_last(last, opened_ns)
        views = streams.of_source(engine, record.id, jobs.choose_apis(apis, record.apis))
        stopped = {view.api for view in views if view.stopped_fingerprint == record.fingerprint}
        read = {view.api: view.drained_ns for view in views if view.drained_ns is not None}
        ends_ns = {api: end_ns for api, end_ns in read.items() if end_ns > span.start_ns and api not in stopped}
        notes = [_note(view.api, last, stopped) for view in views if view.api not in ends_ns]
        if not ends_ns:
            return None
        end_ns = max(ends_ns.values())
        wanted = JobRequest(RECONCILE, record.id, tuple(ends_ns), span.start_ns, end_ns)
        job = jobs.start(engine, wanted, WIDTH_NS, ends_ns)
        return OpenedJob(record.id, opened_ns, job, (*span.notes, *notes))


def _note(api: Api, last: str, stopped: set[Api]) -> str:
    if api in stopped:
        return f"{api} is stopped in error and was not compared."
    return f"{api} was not read to its end in the last {last}, so there is nothing to compare."
