"""The job of a backfill or a reconcile, as a run sees it: claim and release its windows, and show its progress."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from whenever import Instant

from blocks.errors import SourceError
from blocks.events_api.client import PAGE_SIZE
from blocks.prefect_names import block_name
from blocks.store import sources
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import RECONCILE, JobView
from blocks.store.backfill.windows import WindowClaim
from tasks.support.claims import release_each
from tasks.support.source import load_source, open_store, source_record, store_if_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from sqlalchemy import Engine

    from blocks.store.backfill.jobs import ApiProgress
    from blocks.store.sources import SourceRecord

COLUMNS = ("API", "windows", "events", "new", "already known", "quarantined", "pages")
COMPARED = ("API", "windows", "events", "not there", "changed", "quarantined", "pages")
UNDECIDED = "The next complete collection shows whether they were late or missed."
REFRESH_SECONDS = 2.0  # between two reads of the whole job's progress


def _ignore(_job: JobView, _progress: list[ApiProgress]) -> None:
    pass


on_progress: Callable[[JobView, list[ApiProgress]], None] = _ignore
"""Called with the job of this process's run and its progress, each time that it was read. A command sets it."""


@dataclass(frozen=True, slots=True)
class OpenedJob:
    """A job that this run works on. `notes` say how the requested span was changed."""

    source_id: str
    opened_ns: int
    job: JobView
    notes: tuple[str, ...]


def open_and_register(source: str) -> tuple[Engine, SourceRecord]:
    """Load the block of `source`, open its store, and save the source there. Raises SourceError."""
    block = load_source(source)
    engine, record = open_store(block), source_record(block)
    sources.save(engine, record)
    return engine, record


def claim_window(opened: OpenedJob) -> WindowClaim | None:
    """Claim a window for this run; None if all are read, or claimed by other runs. Raises SourceError."""
    return windows.acquire(_engine(opened), opened.job.id, str(flow_run.id))


def release_windows(opened: OpenedJob, claims: Iterable[WindowClaim]) -> None:
    """Release the windows of readers that wait for their next attempt and cannot be woken."""
    release_each(claims, partial(windows.release, _engine(opened)))


def stop_requested(opened: OpenedJob) -> bool:
    """True if the job is paused, or a command requested that the source's runs stop, since this run began."""
    engine = _engine(opened)
    try:
        return jobs.is_paused(engine, opened.job.id) or sources.stop_requested(
            engine, opened.source_id, opened.opened_ns
        )
    except SourceError:
        return False  # the readers report that the store does not answer


@dataclass
class JobProgress:
    """The progress of a job, shown as a progress bar in the UI."""

    source: str
    opened: OpenedJob
    progress: list[ApiProgress] = field(default_factory=list)
    _artifact: UUID | None = None
    _next: float = 0.0

    @property
    def finished(self) -> bool:
        return bool(self.progress) and all(one.finished for one in self.progress)

    def refresh(self, *, now: bool = False) -> None:
        """Read the progress, and split dense windows; at most every two seconds, unless `now`. Raises SourceError."""
        if time.monotonic() < self._next and not now:
            return
        engine, job = _engine(self.opened), self.opened.job
        jobs.split_dense(engine, job.id, PAGE_SIZE)
        self.progress = jobs.progress(engine, job.id)
        on_progress(job, self.progress)
        with _without_prefect():
            self._draw()
        self._next = time.monotonic() + REFRESH_SECONDS

    def _draw(self) -> None:
        part = part_done(self.progress)
        if self._artifact is None:
            kind = self.opened.job.kind
            about = f"{kind.capitalize()} of **{self.source}**, {format_range(self.opened.job)}"
            found = create_progress_artifact(progress=part, key=f"{kind}-{block_name(self.source)}", description=about)
            self._artifact = found  # type: ignore[assignment]  # sync within a sync flow
        else:
            update_progress_artifact(self._artifact, progress=part)


@contextmanager
def _without_prefect() -> Iterator[None]:
    """Log it if the UI cannot show something. The UI is for people: reading continues."""
    try:
        yield
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("The progress could not be shown in Prefect (%s).", type(error).__name__)


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report_job(source: str, job: JobView, progress: list[ApiProgress], message: str) -> None:
    """Save a table of the job as an artifact of the run."""
    titles = COMPARED if job.kind == RECONCILE else COLUMNS
    rows = [dict(zip(titles, _cells(one, job.kind), strict=True)) for one in progress]
    key = f"{job.kind}-table-{block_name(source)}"
    with _without_prefect():
        create_table_artifact(key=key, table=rows, description=f"**{source}**: {message}")


def part_done(progress: Iterable[ApiProgress]) -> float:
    """How much of the span was read, in percent."""
    found = list(progress)
    return round(100 * sum(one.done_ns for one in found) / max(sum(one.span_ns for one in found), 1), 1)


def format_range(job: JobView) -> str:
    """The span of a job: `2026-08-01T00:00:00Z to 2026-08-15T00:00:00Z`."""
    start, end = (
        Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="second") for ns in (job.start_ns, job.end_ns)
    )
    return f"{start} to {end}"


def summarize(job: JobView, progress: Iterable[ApiProgress]) -> str:
    """The counts of a job in a sentence: read, new, known and quarantined; of a reconcile, missing and changed."""
    counts = [(one.read, one.new, one.known, one.quarantined, one.changed) for one in progress]
    read, new, known, quarantined, changed = map(sum, zip(*counts, strict=True)) if counts else (0,) * 5
    if job.kind == RECONCILE:
        what = f"{read:,} events compared: {new:,} were not there, {changed:,} have changed"
    else:
        what = f"{read:,} events read: {new:,} new, {known:,} already known"
    undecided = f" {UNDECIDED}" if new and job.kind == RECONCILE else ""
    return f"{what}; {quarantined:,} put in quarantine.{undecided}"


def _cells(one: ApiProgress, kind: str) -> tuple[str, ...]:
    numbers = (one.read, one.new, one.changed if kind == RECONCILE else one.known, one.quarantined, one.pages)
    return (one.api, f"{one.done:,} of {one.windows:,}", *(f"{number:,}" for number in numbers))


def _engine(opened: OpenedJob) -> Engine:
    engine = store_if_open(opened.source_id)
    assert engine is not None  # noqa: S101 - this process has opened it
    return engine
