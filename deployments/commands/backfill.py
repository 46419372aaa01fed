"""`onepassword-source backfill`: run the flow in this process, or print its plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from blocks import clock
from blocks.command_line import command_line
from blocks.durations import parse_span, parse_width
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import source_status
from deployments import deferred
from deployments.commands.support.job_progress import run_job
from deployments.commands.support.options import Apis, Json, Name
from deployments.commands.support.usage import usage_error
from deployments.exit_codes import DONE
from deployments.terminal_output import (
    format_rfc3339,
    format_time,
    print_fitting,
    print_json,
    print_line,
    print_note,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.client.schemas.objects import State

    from blocks.store.backfill.plan import PlannedWindow
    from deployments.backfill_plan import BackfillPlan
    from deployments.json_records.coverage import PlanRecord, WindowRecord


@dataclass(frozen=True)
class BackfillOptions:
    """The options of the command line."""

    name: str
    start: str | None
    end: str | None
    apis: tuple[str, ...]
    window: str
    plan: bool
    resume: bool
    readers: int
    parallel_runs: int
    as_json: bool


DETAILS = """
--plan shows the windows, how many of their events are stored, and how long the backfill takes. --resume continues a
backfill that was stopped. --readers and --distributed share the work.
"""


def command(
    name: Name,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="A date, a time, or a duration before now: 30d.", show_default=False),
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="The same; default: now.", show_default=False)] = None,
    api: Apis = None,
    window: Annotated[str, typer.Option(metavar="TIME", help="Length of a window; dense ones are cut.")] = "1d",
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be read, and how long it takes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest unfinished backfill.")] = False,
    readers: Annotated[int, typer.Option(min=1, max=16, help="Windows that this process reads at once.")] = 4,
    distributed: Annotated[
        int, typer.Option(metavar="RUNS", min=0, max=100, help="More runs on the work pool that share the work.")
    ] = 0,
    as_json: Json = False,
) -> int:
    """Backfill once, or show the plan. Returns 0 on success, 1 on failure, 130 if it was stopped.

    Raises ThirdPartyConfigError for options that contradict each other.
    """
    options = BackfillOptions(name, start, end, tuple(api or ()), window, plan, resume, readers, distributed, as_json)
    _check(options)
    if options.plan:
        _show_plan(options)
        return DONE
    if options.resume:
        _require_unfinished(options.name)
    return run_job(
        options.name, lambda: _backfill(options), as_json=options.as_json, needs_workers=options.parallel_runs > 0
    )


def _check(options: BackfillOptions) -> None:
    problems: list[str] = []
    if options.resume and (options.start or options.end or options.apis or options.plan):
        problems.append("--resume continues a known time range: leave out --start, --end, --api and --plan")
    elif options.start is None and not options.resume:
        problems.append("--start is missing")
    if unknown := [api for api in options.apis if api not in set(Api)]:
        problems.append(f"--api takes {', '.join(Api)}, not {', '.join(unknown)}")
    for check in (_span, _width):
        try:
            check(options)
        except ThirdPartyConfigError as error:
            problems.append(error.message.rstrip("."))
    if problems:
        raise usage_error("backfill", *problems)


def _span(options: BackfillOptions) -> Any:
    return parse_span(options.start, options.end, clock.now_ns()) if options.start is not None else None


def _width(options: BackfillOptions) -> int:
    return parse_width(options.window)


def _require_unfinished(name: str) -> None:
    """Raise ThirdPartyConfigError if there is nothing to resume, before a run starts and fails."""
    with source_status.opened_store() as engine:
        source = source_status.sources(engine, name)[0]
        if not source_status.unfinished_backfills(engine).get(source.id):
            raise ThirdPartyConfigError(
                f"{name!r} has no unfinished backfill to resume.",
                hint=f"Start one with: {command_line('backfill', name)} --start TIME",
                code="usage",
            )


# The plan


def _show_plan(options: BackfillOptions) -> None:
    with source_status.opened_store() as engine:
        source = source_status.sources(engine, options.name)[0]
        found = deferred.backfill_plan.make_plan(
            engine, source, options.start or "", options.end, apis=options.apis, window=options.window
        )
    if options.as_json:
        _print_plan_json(found)
        return
    print_fitting(_plan_table(found.windows))
    for text in found.notes:
        print_note(text)
    print_line(
        f"{len(found.windows):,} windows, {found.known:,} events known, about {found.requests:,} requests: "
        f"{found.duration} at {found.share:.0%} of the rate limits. No request was made."
    )


def _plan_table(found: Sequence[PlannedWindow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("from (UTC)", "to (UTC)"):
        table.add_column(title, header_style="dim", no_wrap=True)
    apis = [api for api in Api if any(one.api == api for one in found)]
    for title in ("windows", *apis, "requests"):
        table.add_column(title, header_style="dim", justify="right")
    for line in deferred.backfill_plan.group_windows(found):
        known = [f"{number:,}" for number in line.known]
        windows = f"{line.windows:,}" if line.windows > 1 else ""
        table.add_row(
            format_time(line.start_ns)[:16], format_time(line.end_ns)[:16], windows, *known, f"{line.requests:,}"
        )
    return table


def _print_plan_json(found: BackfillPlan) -> None:
    rows: list[WindowRecord] = [
        {
            "api": one.api,
            "start": format_rfc3339(one.start_ns),
            "end": format_rfc3339(one.end_ns),
            "known": one.known,
            "requests": one.requests,
        }
        for one in found.windows
    ]
    answer: PlanRecord = {
        "windows": rows,
        "requests": found.requests,
        "seconds": round(found.seconds, 1),
        "notes": list(found.notes),
    }
    print_json(answer)


def _backfill(options: BackfillOptions) -> State[Any]:
    state: State[Any] = deferred.backfill.backfill(
        options.name,
        options.start,
        options.end,
        list(options.apis) or None,
        options.window,
        options.readers,
        options.parallel_runs,
        return_state=True,
    )
    return state
