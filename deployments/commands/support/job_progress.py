"""A backfill or reconcile in this process: a bar on the terminal, and its result."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from blocks.errors import ThirdPartyConfigError
from deployments import deferred
from deployments.commands.support.local_run import (
    CTRL_C_SECONDS,
    exit_code_of,
    headline,
    health_errors_hidden,
    outcome_of,
    require_source,
    shut_down,
)
from deployments.exit_codes import IN_ERROR, INTERRUPTED
from deployments.prefect_session import prefect_session
from deployments.terminal_output import ERROR, format_rfc3339, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.client.schemas.objects import State
    from rich.progress import TaskID

    from blocks.store.backfill import jobs
    from blocks.store.backfill.jobs import JobView
    from deployments.json_records.coverage import JobCountsRecord, JobRecord


def run_job(name: str, flow: Callable[[], State[Any]], *, as_json: bool, needs_workers: bool = False) -> int:
    """Run the flow for the source of that name. Returns 0 on success, 1 on failure, 130 if it was stopped.

    Raises ThirdPartyConfigError if there is no such source, or if the run `needs_workers` and none runs.
    """
    shown = JobDisplay()
    with prefect_session() as access:
        if access.kind == "temporary" and needs_workers:
            raise ThirdPartyConfigError(
                "--distributed needs workers, and none runs.",
                hint="Start `onepassword-source up`, or leave --distributed out.",
                code="usage",
            )
        require_source(name)
        with health_errors_hidden(), _bar(shown):

            def end_at_once(outcome: str, message: str) -> int:
                shown.stop()
                _print_result(name, shown, outcome, message, INTERRUPTED, as_json=as_json)
                shut_down(access)
                return INTERRUPTED

            state = _run(flow, shown, end_at_once)
    code, (outcome, message) = exit_code_of(state), outcome_of(state)
    _print_result(name, shown, outcome, message, code, as_json=as_json)
    return code


def _run(flow: Callable[[], State[Any]], shown: JobDisplay, end_at_once: Callable[[str, str], int]) -> State[Any]:
    deferred.stopping.exit_hook, deferred.stopping.exit_seconds = end_at_once, CTRL_C_SECONDS
    deferred.job.on_progress = shown.update
    return flow()


def _print_result(name: str, shown: JobDisplay, outcome: str, message: str, code: int, *, as_json: bool) -> None:
    if as_json:
        answer: JobRecord = {
            "source": name,
            "state": outcome,
            "message": message,
            "in_error": code == IN_ERROR,
            **shown.as_json(),
        }
        print_json(answer)
    else:
        print_line(headline(outcome, message, code))


@dataclass
class JobDisplay:
    """The last reported progress of a job, and on a terminal the bar that shows it."""

    job: JobView | None = None
    progress: list[jobs.ApiProgress] = field(default_factory=list)
    _bar: Progress | None = None
    _row: TaskID | None = None
    _begun: float = 0.0
    _before: int = 0

    def attach(self, bar: Progress) -> None:
        self._bar, self._row = bar, bar.add_task("Starting…", total=None)

    def update(self, job: JobView, progress: list[jobs.ApiProgress]) -> None:
        if self.job is None:
            self._begun, self._before = time.monotonic(), sum(one.read for one in progress)
        self.job, self.progress = job, progress
        if self._bar is not None and self._row is not None:
            total, reached = self._total("span_ns"), self._total("done_ns")
            self._bar.update(self._row, description=self._line(), total=total, completed=reached)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def as_json(self) -> JobCountsRecord:
        """The job and its counts; empty if the run ended before it had a job."""
        if self.job is None:
            return {}
        found: JobCountsRecord = {
            "source_id": self.job.source_id,
            "job": self.job.id,
            "start": format_rfc3339(self.job.start_ns),
            "end": format_rfc3339(self.job.end_ns),
            "windows_total": self._total("windows"),
            "windows_done": self._total("done"),
            "read": self._total("read"),
            "new": self._total("new"),
            "known": self._total("known"),
            "quarantined": self._total("quarantined"),
        }
        if self.job.kind == deferred.jobs.RECONCILE:
            found["changed"] = self._total("changed")
        return found

    def _line(self) -> str:
        read, seconds = self._total("read"), time.monotonic() - self._begun
        rate = (read - self._before) / seconds if seconds >= 1 else 0
        return f"{read:,} events  {self._total('done'):,}/{self._total('windows'):,} windows  {rate:,.0f}/s"

    def _total(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.progress)


@contextmanager
def _bar(shown: JobDisplay) -> Iterator[None]:
    """Show a bar on a terminal, with events, windows, rate and time left."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERROR, transient=True) as bar:
        shown.attach(bar)
        yield
