"""`onepassword-source backfill`: one run of the flow, in this process, or the plan of one."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from blocks import clock, settings
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.budget import DOCUMENTED
from blocks.events_api.models import Api
from blocks.span import parse_span, parse_width
from blocks.store import plan as planning
from blocks.store import reading, windows
from blocks.store.windows import BACKFILL, JobView, Wanted
from deployments.commands.collect import DONE, IN_ERROR, STOPPED, code_of, leave, require_source
from deployments.commands.present import ERROR, iso_of, note, plain, say, say_json, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.client.schemas.objects import State
    from rich.progress import TaskID

    from blocks.store.plan import PlannedWindow

PAGE_SIZE = 1000


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
    span = _span(wish)
    with reading.opened_store() as engine:
        source = reading.sources(engine, wish.name)[0]
        apis = windows.chosen(wish.apis, map(Api, source.apis))
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

    shown = Shown()
    with prefect() as access:
        if access.kind == "temporary" and wish.pieces:
            raise ThirdPartyConfigError(
                "--distributed needs workers, and none runs.",
                hint="Start `onepassword-source up`, or leave --distributed out.",
                code="usage",
            )
        require_source(wish.name)
        with _bar(shown):

            def end_at_once(state: str, message: str) -> int:
                shown.end()
                _tell(wish, shown, state, message, STOPPED)
                leave(access)
                return STOPPED

            state = _backfill(wish, shown, end_at_once)
    code = code_of(state)
    _tell(wish, shown, state.name or "", state.message or "", code)
    return code


def _backfill(wish: Wish, shown: Shown, end_at_once: Any) -> State[Any]:
    from flows.backfill import backfill  # noqa: PLC0415 - imports Prefect
    from tasks import backfill as task  # noqa: PLC0415
    from tasks import stopping  # noqa: PLC0415

    stopping.at_end, task.shown_at = end_at_once, shown.look
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


def _tell(wish: Wish, shown: Shown, state: str, message: str, code: int) -> None:
    if wish.as_json:
        answer = {"source": wish.name, "state": state, "message": message, "in_error": code == IN_ERROR}
        say_json({**answer, **shown.as_json()})
    else:
        style = "bold red" if code == IN_ERROR else "bold green"
        say(Text.assemble((f"{state}:", style), f" {plain(message)}"))


@dataclass
class Shown:
    """What the run has told of its job last, and on a terminal the bar that shows it."""

    job: JobView | None = None
    progress: list[windows.Progress] = field(default_factory=list)
    _bar: Progress | None = None
    _row: TaskID | None = None
    _begun: float = 0.0
    _before: int = 0

    def draw_on(self, bar: Progress) -> None:
        self._bar, self._row = bar, bar.add_task("Starting…", total=None)

    def look(self, job: JobView, progress: list[windows.Progress]) -> None:
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
        span = {"start": iso_of(self.job.start_ns), "end": iso_of(self.job.end_ns)}
        counts = {name: self._sum(name) for name in ("read", "new", "known", "quarantined")}
        return {
            "job": self.job.id,
            **span,
            "windows": self._sum("windows"),
            "windows_done": self._sum("done"),
            **counts,
        }

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
