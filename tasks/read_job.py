"""Read the windows of a job until none is left: several at once, beside parallel runs of the same job."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from blocks.command_line import command_line
from blocks.errors import ClaimLostError, FirstPartyGenericError, SourceError, as_source_error
from blocks.store.backfill.jobs import BACKFILL
from tasks import attempts
from tasks.read_window import read_window
from tasks.run_state import conclude, exit_now
from tasks.support import stopping
from tasks.support.futures import wait_for_some
from tasks.support.job import (
    JobProgress,
    OpenedJob,
    claim_window,
    format_range,
    release_windows,
    report_job,
    stop_requested,
    summarize,
)
from tasks.support.publish import publish
from tasks.verdict import STOPPED, Verdict

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State
    from prefect.futures import PrefectFuture

    from blocks.store.backfill.windows import WindowClaim
    from tasks.read_window import WindowResult

READERS_MAX = 16
STORE_SECONDS = 5.0  # between two attempts at a store that does not answer


def read_job(source: str, opened: OpenedJob, readers: int, *, done: str) -> State[Any]:
    """Read the windows of a job, `readers` at once, and return the final state of this run.

    Its outcome is `done` if all windows are read, by this run or by parallel ones; Stopped; or the error that ended it.
    """
    progress = JobProgress(source, opened)
    return _state(source, progress, _read(source, opened, progress, readers), done)


def _read(source: str, opened: OpenedJob, progress: JobProgress, readers: int) -> SourceError | None:
    """Read windows until none is left, or one fails for good. Returns its error."""
    running: dict[PrefectFuture[WindowResult], WindowClaim] = {}
    error: SourceError | None = None
    while True:
        if stop_requested(opened):
            stopping.requested.set()
        ending = error is not None or stopping.requested.is_set()
        try:
            with attempts.attempt_in_memory(f"job/{opened.job.id}"):
                if not ending:
                    _hand_out(source, opened, running, readers)
                progress.refresh(now=not running)
        except FirstPartyGenericError as failed:  # the store does not answer: the readers wait for it, too
            error = error or (failed if failed.retry_in is None else None)
            _pause(min(failed.retry_in or 0.0, STORE_SECONDS))
        if ending and stopping.waiting_readers() >= len(running):
            release_windows(opened, running.values())  # what still runs waits for its next attempt
            return error
        if not running and progress.finished:  # else parallel runs read the rest, or died: their claims expire
            return error
        for reader in wait_for_some(running, 0.5) if running else _pause(1.0):
            error = _error_of(reader) or error
            del running[reader]


def _hand_out(
    source: str, opened: OpenedJob, running: dict[PrefectFuture[WindowResult], WindowClaim], readers: int
) -> None:
    while len(running) < readers and (claim := claim_window(opened)):
        reader = read_window.with_options(name=f"read {claim.api}").submit(source, claim)
        running[reader] = claim


def _pause(seconds: float) -> tuple[()]:
    stopping.requested.wait(seconds)
    return ()


def _error_of(reader: PrefectFuture[WindowResult]) -> SourceError | None:
    outcome = reader.result(raise_on_failure=False)
    if not isinstance(outcome, BaseException) or isinstance(outcome, ClaimLostError):
        return None
    return as_source_error(outcome)


def _state(source: str, progress: JobProgress, error: SourceError | None, done: str) -> State[Any]:
    opened = progress.opened
    with suppress(SourceError):
        progress.refresh(now=True)
    message = " ".join([f"{format_range(opened.job)}. {summarize(opened.job, progress.progress)}", *opened.notes])
    if error is not None:
        found = Verdict(error.name, f"{error} {message} {_left(source, progress)}")
    elif not progress.finished:
        found = Verdict(STOPPED, f"{message} {_left(source, progress)}")
    else:
        found = Verdict(done, message)
    report_job(source, opened.job, progress.progress, message)
    publish(opened.source_id)
    if stopping.waiting_readers():
        exit_now(found)
    return conclude(found)


def _left(source: str, progress: JobProgress) -> str:
    windows = sum(one.windows for one in progress.progress)
    left = f"{windows - sum(one.done for one in progress.progress):,} of {windows:,} windows are left"
    if progress.opened.job.kind != BACKFILL:
        return f"{left}."
    return (
        f"{left}. A run without a start reads them, and so does "
        f"`{command_line('backfill', source, options=('--resume',))}`."
    )
