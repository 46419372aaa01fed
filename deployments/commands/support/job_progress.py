"""A run that reads a span of time in windows, in this process: a bar on the terminal, and what came of it."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from blocks.errors import ThirdPartyConfigError
from deployments.commands.collect import END_SECONDS, code_of, headline, leave, outcome_of, require_source
from deployments.commands.support import deferred
from deployments.commands.support.output import ERROR, iso_of, say, say_json
from deployments.commands.support.prefect_server import prefect
from deployments.commands.support.run_log import errors_said_once
from deployments.exit_codes import IN_ERROR, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.client.schemas.objects import State
    from rich.progress import TaskID

    from blocks.store.backfill import jobs
    from blocks.store.backfill.jobs import JobView


def run_job(name: str, flow: Callable[[], State[Any]], *, as_json: bool, needs_workers: bool = False) -> int:
    """Run the flow for the source of that name. 0 where it went well, 1 where it failed, 130 where it was stopped.

    ThirdPartyConfigError where there is no such source, or it `needs_workers` and there are none.
    """
    shown = Shown()
    with prefect() as access:
        if access.kind == "temporary" and needs_workers:
            raise ThirdPartyConfigError(
                "--distributed needs workers, and none runs.",
                hint="Start `onepassword-source up`, or leave --distributed out.",
                code="usage",
            )
        require_source(name)
        with errors_said_once(), _bar(shown):

            def end_at_once(outcome: str, message: str) -> int:
                shown.end()
                _tell(name, shown, outcome, message, INTERRUPTED, as_json=as_json)
                leave(access)
                return INTERRUPTED

            state = _run(flow, shown, end_at_once)
    code, (outcome, message) = code_of(state), outcome_of(state)
    _tell(name, shown, outcome, message, code, as_json=as_json)
    return code


def _run(flow: Callable[[], State[Any]], shown: Shown, end_at_once: Callable[[str, str], int]) -> State[Any]:
    deferred.stopping.at_end, deferred.stopping.end_seconds = end_at_once, END_SECONDS
    deferred.job.shown_at = shown.look
    return flow()


def _tell(name: str, shown: Shown, outcome: str, message: str, code: int, *, as_json: bool) -> None:
    if as_json:
        answer = {"source": name, "state": outcome, "message": message, "in_error": code == IN_ERROR}
        say_json({**answer, **shown.as_json()})
    else:
        say(headline(outcome, message, code))


@dataclass
class Shown:
    """What the run has told of its job last, and on a terminal the bar that shows it."""

    job: JobView | None = None
    progress: list[jobs.Progress] = field(default_factory=list)
    _bar: Progress | None = None
    _row: TaskID | None = None
    _begun: float = 0.0
    _before: int = 0

    def draw_on(self, bar: Progress) -> None:
        self._bar, self._row = bar, bar.add_task("Starting…", total=None)

    def look(self, job: JobView, progress: list[jobs.Progress]) -> None:
        if self.job is None:
            self._begun, self._before = time.monotonic(), sum(one.read for one in progress)
        self.job, self.progress = job, progress
        if self._bar is not None and self._row is not None:
            total, reached = self._sum("span_ns"), self._sum("done_ns")
            self._bar.update(self._row, description=self._line(), total=total, completed=reached)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def as_json(self) -> dict[str, Any]:
        """The job and its counts; nothing where the run did not come so far."""
        if self.job is None:
            return {}
        found = {
            "source_id": self.job.source_id,
            "job": self.job.id,
            "start": iso_of(self.job.start_ns),
            "end": iso_of(self.job.end_ns),
            "windows_total": self._sum("windows"),
            "windows_done": self._sum("done"),
            "read": self._sum("read"),
            "new": self._sum("new"),
            "known": self._sum("known"),
            "quarantined": self._sum("quarantined"),
        }
        return {**found, "changed": self._sum("changed")} if self.job.kind == deferred.jobs.RECONCILE else found

    def _line(self) -> str:
        read, seconds = self._sum("read"), time.monotonic() - self._begun
        rate = (read - self._before) / seconds if seconds >= 1 else 0
        return f"{read:,} events  {self._sum('done'):,}/{self._sum('windows'):,} windows  {rate:,.0f}/s"

    def _sum(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.progress)


@contextmanager
def _bar(shown: Shown) -> Iterator[None]:
    """On a terminal, a bar over the span with events, windows, rate and time left."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERROR, transient=True) as bar:
        shown.draw_on(bar)
        yield
