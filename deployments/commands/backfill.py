"""`onepassword-source backfill`: one run of the flow, in this process, or the plan of one."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from blocks import clock, settings
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.events_api.budget import DOCUMENTED
from blocks.events_api.models import Api
from blocks.span import parse_span, parse_width
from blocks.store import plan as planning
from blocks.store import reading, windows
from blocks.store.windows import BACKFILL, Wanted
from deployments.commands.collect import DONE, IN_ERROR, STOPPED, code_of, leave, require_source
from deployments.commands.present import ERROR, iso_of, note, plain, say, say_json, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.client.schemas.objects import State
    from sqlalchemy import Engine

    from blocks.store.plan import PlannedWindow

PAGE_SIZE = 1000
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Wish:
    """What the command was asked for."""

    name: str
    start: str | None
    end: str | None
    apis: tuple[str, ...]
    window: str
    plan: bool
    resume: bool
    readers: int
    pieces: int
    as_json: bool


def run(wish: Wish) -> int:
    """Backfill once, or show the plan. 0 where it went well, 1 where it failed, 130 where it was stopped.

    ThirdPartyConfigError for wishes that make no sense.
    """
    _check(wish)
    if wish.plan:
        _show_plan(wish)
        return DONE
    return _now(wish)


def _check(wish: Wish) -> None:
    faults: list[str] = []
    if wish.resume and (wish.start or wish.end or wish.apis or wish.plan):
        faults.append("--resume goes on with a span that is known: leave out --start, --end, --api and --plan")
    elif wish.start is None and not wish.resume:
        faults.append("--start is missing")
    if unknown := [api for api in wish.apis if api not in set(Api)]:
        faults.append(f"--api takes {', '.join(Api)}, not {', '.join(unknown)}")
    for check in (_span, _width):
        try:
            check(wish)
        except ThirdPartyConfigError as error:
            faults.append(error.message.rstrip("."))
    if faults:
        raise ThirdPartyConfigError(
            f"{'. '.join(faults)}.", hint="See: onepassword-source backfill --help", code="usage"
        )


def _span(wish: Wish) -> Any:
    return parse_span(wish.start, wish.end, clock.now_ns()) if wish.start is not None else None


def _width(wish: Wish) -> int:
    return parse_width(wish.window)


# The plan


def _show_plan(wish: Wish) -> None:
    engine = reading.open_store()
    source = reading.sources(engine, wish.name)[0]
    span = _span(wish)
    apis = tuple(api for api in Api if api in (wish.apis or [stream.api for stream in source.streams]))
    wanted = Wanted(BACKFILL, source.id, apis, span.start_ns, span.end_ns)
    found = planning.plan(engine, wanted, _width(wish), PAGE_SIZE)
    requests = sum(one.requests for one in found)
    limits, share = settings.rate_limits(), settings.backfill_share()
    seconds = planning.seconds(requests, DOCUMENTED if limits is None else limits, share)
    if wish.as_json:
        _say_json(found, requests, seconds, span.notes)
        return
    say(_plan_table(found))
    for text in span.notes:
        note(text)
    say(
        f"{len(found):,} windows, {sum(one.known for one in found):,} events known, about {requests:,} requests: "
        f"{_duration(seconds)} at {share:.0%} of the rate limits. Nothing was asked for."
    )


def _plan_table(found: Sequence[PlannedWindow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("from (UTC)", "to (UTC)"):
        table.add_column(title, header_style="dim", no_wrap=True)
    apis = [api for api in Api if any(one.api == api for one in found)]
    for title in (*apis, "requests"):
        table.add_column(title, header_style="dim", justify="right")
    for (start, end), group in groupby(found, key=lambda one: (one.start_ns, one.end_ns)):
        row = list(group)
        known = [f"{one.known:,}" for one in row]
        table.add_row(time_of(start)[:16], time_of(end)[:16], *known, f"{sum(one.requests for one in row):,}")
    return table


def _say_json(found: Sequence[PlannedWindow], requests: int, seconds: float, notes: Sequence[str]) -> None:
    rows = [
        {
            "api": one.api,
            "start": iso_of(one.start_ns),
            "end": iso_of(one.end_ns),
            "known": one.known,
            "requests": one.requests,
        }
        for one in found
    ]
    say_json({"windows": rows, "requests": requests, "seconds": round(seconds, 1), "notes": list(notes)})


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "as fast as the server answers"
    return f"{clock.words(int(seconds * 10**9))} at least"


# The run


def _now(wish: Wish) -> int:
    from deployments.commands.prefect_server import prefect  # noqa: PLC0415 - only for runs

    with prefect() as access:
        if access.kind == "temporary" and wish.pieces:
            raise ThirdPartyConfigError(
                "--distributed needs workers, and none runs.",
                hint="Start `onepassword-source up`, or leave --distributed out.",
                code="usage",
            )
        with _bar(wish.name) as end_bar:

            def end_at_once(state: str, message: str) -> int:
                end_bar()
                _tell(wish, state, message, STOPPED)
                leave(access)
                return STOPPED

            state = _backfill(wish, end_at_once)
    code = code_of(state)
    _tell(wish, state.name or "", state.message or "", code)
    return code


def _backfill(wish: Wish, end_at_once: Any) -> State[Any]:
    from flows.backfill import backfill  # noqa: PLC0415 - imports Prefect
    from tasks import stopping  # noqa: PLC0415

    require_source(wish.name)
    stopping.at_end = end_at_once
    state: State[Any] = backfill(
        wish.name,
        wish.start,
        wish.end,
        list(wish.apis) or None,
        wish.window,
        wish.readers,
        wish.pieces,
        return_state=True,
    )
    return state


def _tell(wish: Wish, state: str, message: str, code: int) -> None:
    if wish.as_json:
        say_json({"source": wish.name, "state": state, "message": message, "failed": code == IN_ERROR})
    else:
        style = "bold red" if code == IN_ERROR else "bold green"
        say(Text.assemble((f"{state}:", style), f" {plain(message)}"))


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    """On a terminal, a bar over the span with events, windows, rate and time left; it gives what ends the bar."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeRemainingColumn())
    done = threading.Event()
    with Progress(*columns, console=ERROR, transient=True) as bar:
        watcher = threading.Thread(target=_watch, args=(name, bar, done), daemon=True)
        watcher.start()

        def end() -> None:
            done.set()
            watcher.join()
            bar.stop()

        try:
            yield end
        finally:
            end()


def _watch(name: str, bar: Progress, done: threading.Event) -> None:
    shown = bar.add_task("Starting…", total=None)
    begun, before = time.monotonic(), None
    while not done.wait(LOOK_SECONDS):
        found = _progress(name)
        if not found:
            continue
        read = sum(one.read for one in found)
        before = read if before is None else before
        rate = (read - before) / (time.monotonic() - begun)
        counts = f"{sum(one.done for one in found):,}/{sum(one.windows for one in found):,} windows"
        text = f"{read:,} events  {counts}  {rate:,.0f}/s"
        total, reached = (sum(getattr(one, part) for one in found) for part in ("span_ns", "done_ns"))
        bar.update(shown, description=text, total=total, completed=reached)


def _progress(name: str) -> list[windows.Progress]:
    try:
        engine: Engine = reading.open_store()
        left = windows.unfinished(engine, reading.sources(engine, name)[0].id)
        return windows.progress(engine, left[0].id) if left else []
    except SourceError:  # its store is elsewhere, or is not there yet
        return []
