"""One run of the real flow `backfill` on a job that is there already, as one of its parallel runs makes it."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from flow_run import NAME, save_blocks
from measure import Stopwatch, peak_mb, print_measurement, read_job

from deployments.prefect_api import server_access

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

JOB = "BENCHMARK_JOB"
"""The variable of the environment that names the job."""


def main() -> None:
    measure_flow(_backfill, "Backfilled")


def _backfill() -> State[Any]:
    from flows.backfill import backfill

    return backfill(NAME, job=os.environ[JOB], return_state=True)


def measure_flow(flow: Callable[[], State[Any]], done: str) -> None:
    """Run a flow that reads windows, and print its measurement. Exits with its message if it does not end as `done`."""
    job, watch = read_job(), Stopwatch()
    server_access.activate()
    save_blocks(job)
    from blocks.store.backfill import windows
    from tasks import read_window

    counted = _Counted(job.events // 10)
    windows.commit_prepared = counted.counting(windows.commit_prepared)
    read_window.WindowReader.read = _timed(read_window.WindowReader.read, watch)  # type: ignore[method-assign]
    state = flow()
    if not (state.message or "").startswith(f"{done}: "):
        sys.exit(f"The flow ended {state.name}: {state.message}")
    print_measurement(watch.measured(counted.pages, counted.tenth_mb))


class _Counted:
    """How many pages there were, and the peak of memory when a tenth of the events were stored."""

    def __init__(self, tenth: int) -> None:
        self.pages = self.events = 0
        self.tenth_mb = 0.0
        self._tenth = tenth
        self._lock = threading.Lock()

    def counting(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*given: Any, **named: Any) -> Any:
            committed = commit(*given, **named)
            with self._lock:
                self.pages += 1
                self.events += committed.new + committed.known
            if self.events >= self._tenth and not self.tenth_mb:
                self.tenth_mb = peak_mb()
            return committed

        return counting


def _timed(run: Callable[..., Any], watch: Stopwatch) -> Callable[..., Any]:
    """Reading and storing begins with the first window's attempt and ends with the last one's."""

    def timed(one: Any) -> Any:
        watch.start()
        read = run(one)
        watch.stop()
        return read

    return timed


if __name__ == "__main__":
    main()
