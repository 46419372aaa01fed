"""The flow `backfill`: read a past span once more, in windows, beside live collection, which goes first."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import wait
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from blocks.errors import ClaimLostError, FirstPartyGenericError, SourceError
from tasks import retries, stopping, verdict
from tasks.backfill import (
    Asked,
    OpenedBackfill,
    Shown,
    let_go,
    next_window,
    open_backfill,
    report_backfill,
    sentence,
    stop_requested,
    words,
)
from tasks.pieces import start_pieces
from tasks.read_window import read_window
from tasks.show import end_now

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

    from blocks.store.windows import WindowClaim
    from tasks.read_window import WindowRead

READERS_MAX = 16
STORE_SECONDS = 5.0  # between two looks at a store that does not answer
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
            shown = Shown(source, opened)
            if pieces:
                start_pieces(source, opened.job.id, pieces, readers)
            error = _read(source, opened, shown, readers)
        except SourceError as failed:
            return Failed(name=failed.name, message=str(failed))
        return _finish(source, shown, error)


def _read(source: str, opened: OpenedBackfill, shown: Shown, readers: int) -> SourceError | None:
    """Read windows until there are none left, or one fails for good; what failed then."""
    running: dict[PrefectFuture[WindowRead], WindowClaim] = {}
    error: SourceError | None = None
    while True:
        if stop_requested(opened):
            stopping.requested.set()
        ending = error is not None or stopping.requested.is_set()
        try:
            with retries.in_memory(f"backfill/{opened.job.id}"):
                if not ending:
                    _hand_out(source, opened, running, readers)
                shown.look(now=not running)
        except FirstPartyGenericError as failed:  # of the store, which the readers wait for too
            error = error or (failed if failed.retry_in is None else None)
            _pause(min(failed.retry_in or 0.0, STORE_SECONDS))
        if ending and stopping.asleep() >= len(running):
            let_go(opened, running.values())
            return error
        if not running and shown.finished:  # else others read what is left, or did and died: their claims lapse
            return error
        for reader in wait(list(running), timeout=0.5).done if running else _pause(1.0):
            error = _error_of(reader) or error
            del running[reader]


def _hand_out(
    source: str, opened: OpenedBackfill, running: dict[PrefectFuture[WindowRead], WindowClaim], readers: int
) -> None:
    while len(running) < readers and (claim := next_window(opened)):
        reader = read_window.with_options(name=f"read {claim.api}").submit(source, claim)
        running[reader] = claim


def _pause(seconds: float) -> tuple[()]:
    stopping.requested.wait(seconds)
    return ()


def _error_of(reader: PrefectFuture[WindowRead]) -> SourceError | None:
    outcome = reader.result(raise_on_failure=False)
    if not isinstance(outcome, BaseException) or isinstance(outcome, ClaimLostError):
        return None
    return verdict.as_error(outcome)


def _finish(source: str, shown: Shown, error: SourceError | None) -> State[Any]:
    opened = shown.opened
    with suppress(SourceError):
        shown.look(now=True)
    message = " ".join([f"{words(opened.job)}. {sentence(shown.progress)}", *opened.notes])
    state: State[Any]
    if error is not None:
        state = Failed(name=error.name, message=f"{error} {message} {_left(source, shown)}")
    elif not shown.finished:
        state = Cancelled(name="Stopped", message=f"{message} {_left(source, shown)}")
    else:
        state = Completed(name="Backfilled", message=message)
    report_backfill(source, shown.progress, message)
    if stopping.asleep():
        end_now(state)
    return state


def _left(source: str, shown: Shown) -> str:
    windows = sum(one.windows for one in shown.progress)
    left = windows - sum(one.done for one in shown.progress)
    return (
        f"{left:,} of {windows:,} windows are left: a run without a start goes on with them, and so does "
        f"`onepassword-source backfill {shlex.quote(source)} --resume`."
    )
