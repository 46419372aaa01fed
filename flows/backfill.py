"""The flow `backfill`: read a past span once more, in windows, beside live collection, which goes first."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field, WithJsonSchema

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
from tasks.pieces import run_name, start_pieces
from tasks.read_window import read_window
from tasks.show import end_now
from tasks.waiting import some_ended

if TYPE_CHECKING:
    from prefect.futures import PrefectFuture

    from blocks.store.windows import WindowClaim
    from tasks.read_window import WindowRead

READERS_MAX = 16
STORE_SECONDS = 5.0  # between two looks at a store that does not answer
ApiName = Literal["sign-in", "itemUsage", "audit"]
# What the form of the UI shows: a calendar, a list to choose from, a line of text. It would else first ask whether the
# value is to be None. From a command line a time may be a date or a duration before now too: forms check, Prefect not.
When = Annotated[str | None, WithJsonSchema({"type": "string", "format": "date-time"})]
Apis = Annotated[
    list[ApiName] | None,
    WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(get_args(ApiName))}}),
]
Line = Annotated[str | None, WithJsonSchema({"type": "string"})]


@flow(
    name="backfill",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=READERS_MAX),  # type: ignore[arg-type]
    persist_result=False,
)
def backfill(  # noqa: PLR0917 - Prefect calls it by name
    source: str,
    start: When = None,
    end: When = None,
    apis: Apis = None,
    window: str = "1d",
    readers: Annotated[int, Field(ge=1, le=READERS_MAX)] = 4,
    pieces: Annotated[int, Field(ge=0, le=100)] = 0,
    job: Line = None,
) -> State[Any]:
    """Read a past span of time again and store what is missing. Live collection goes on meanwhile, and goes first.

    Args:
        source: The name of the source, as in its configuration.
        start: Where the span begins. Left out: the newest backfill of the source that is not finished goes on. As JSON
            or on a command line also a date (UTC), or a duration before now such as 30d.
        end: Where it ends, likewise. Left out: now.
        apis: Those to read: sign-in, itemUsage, audit. Left out: all that the source collects.
        window: How long a part is that is read with a cursor of its own, such as 6h or 1d. Dense ones are cut.
        readers: How many windows this run reads at once, 1 to 16.
        pieces: How many further runs share the work, on any workers of the work pool, 0 to 100.
        job: The id of a backfill that is to go on; its further runs are started with it.
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


for _shown in backfill.parameters.properties.values():
    if _shown.get("default", "") is None:
        del _shown[
            "default"
        ]  # the form would send it as the value, and Prefect refuse it, of what nobody has filled in


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
        for reader in some_ended(running, 0.5) if running else _pause(1.0):
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
