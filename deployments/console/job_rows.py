"""What the pages show of backfills and reconciles: how far each is, and how long the rest takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.store import sources
from blocks.store.backfill import jobs, pace

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.backfill.jobs import ApiProgress, JobView

JOBS = 30


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as a row. `left_ns` is an estimate; None if it cannot be made."""

    job: JobView
    source: str
    apis: tuple[ApiProgress, ...]
    left_ns: int | None

    def total(self, member: str) -> int:
        """The sum of a member of `ApiProgress` over the APIs."""
        return sum(getattr(one, member) for one in self.apis)

    @property
    def part(self) -> float:
        """The part that is read, from 0 to 1."""
        return self.total("done_ns") / max(self.total("span_ns"), 1)

    @property
    def state(self) -> str:
        """`finished`, `paused`, `reading`, `waiting` for a run, `failed`, or `ended early` of a reconcile.

        No run reads it since an error, or since its run was ended.
        """
        if self.job.finished_ns is not None:
            return "finished"
        if self.job.paused_ns is not None:
            return "paused"
        if self.total("held"):
            return "reading"
        if self.error:
            return "failed"
        return "waiting" if self.job.kind == jobs.BACKFILL else "ended early"

    @property
    def kind(self) -> str:
        """The class of the state: its colour and its icon."""
        return {"finished": "good", "reading": "good", "failed": "bad"}.get(self.state, "idle")

    @property
    def error(self) -> str:
        return next((one.error for one in self.apis if one.error), "")


def job_rows(engine: Engine) -> list[JobRow]:
    """The jobs of all sources: those that are not finished first, then the newest."""
    names = sources.names_by_id(engine)
    return [_row(engine, job, names[job.source_id]) for job in jobs.newest(engine, JOBS) if job.source_id in names]


def _row(engine: Engine, job: JobView, source: str) -> JobRow:
    left_ns = None if job.finished_ns is not None else pace.time_left_ns(engine, job.id)
    return JobRow(job, source, tuple(jobs.progress(engine, job.id)), left_ns)
