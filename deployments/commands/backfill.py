"""`onepassword-source backfill`: one run of the flow, in this process, or the plan of one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.table import Table

from blocks import clock, settings
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.budget import DOCUMENTED
from blocks.events_api.models import Api
from blocks.span import parse_span, parse_width
from blocks.store import jobs, reading
from blocks.store import plan as planning
from blocks.store.jobs import BACKFILL, Wanted
from deployments.commands.collect import DONE
from deployments.commands.jobs import run_job
from deployments.commands.present import iso_of, note, say, say_json, time_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.schemas.objects import State

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
    return run_job(wish.name, lambda: _backfill(wish), as_json=wish.as_json, needs_workers=wish.pieces > 0)


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
        apis = jobs.chosen(wish.apis, map(Api, source.apis))
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


def _backfill(wish: Wish) -> State[Any]:
    from flows.backfill import backfill  # noqa: PLC0415 - imports Prefect

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
