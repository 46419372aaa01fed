"""`onepassword-source prune`: remove old events now, or schedule it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from blocks.errors import ThirdPartyConfigError
from blocks.store import prune, source_status
from deployments import deferred, prune_schedule
from deployments.commands.support.options import Json, OneSource, Yes
from deployments.commands.support.progress import progress_bar
from deployments.commands.support.usage import usage_error
from deployments.prefect_session import prefect_session
from deployments.terminal_output import (
    format_rfc3339,
    format_time,
    print_fitting,
    print_json,
    print_line,
    print_note,
    printable,
    with_spinner,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.store.prune import PrunePlan, PruneTarget, RetentionRule
    from deployments.json_records.store import (
        PrunedApiRecord,
        PruneRecord,
        ScheduledPruneRecord,
        UnscheduledPruneRecord,
    )

COLUMNS = ("API", "events", "to remove", "from (UTC)", "to (UTC)", "old, but kept")
NUMBERS = ("events", "to remove")


@dataclass(frozen=True)
class PruneOptions:
    """The options of the command line."""

    older_than: str | None
    name: str | None
    dry_run: bool = False
    yes: bool = False
    schedule: str | None = None
    no_schedule: bool = False
    as_json: bool = False


DETAILS = "It shows how many events are old enough, and asks before it removes them."


def command(
    name: OneSource = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long events are kept: 400d, 60w; at least 121d.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which events would be removed.")] = False,
    yes: Yes = False,
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Make a schedule: daily, weekly or monthly. Removes nothing now.", show_default=False
        ),
    ] = None,
    no_schedule: Annotated[bool, typer.Option("--no-schedule", help="Remove the schedule.")] = False,
    as_json: Json = False,
) -> None:
    """Prune once, or make or remove the schedule. Raises ThirdPartyConfigError for contradicting options."""
    options = PruneOptions(older_than, name, dry_run, yes, schedule, no_schedule, as_json)
    _check(options)
    if options.no_schedule:
        _unschedule(options.name, as_json=options.as_json)
        return
    rule = prune.parse_rule(older_than or "")
    if options.schedule is not None:
        _schedule(older_than or "", options)
        return
    _prune_now(options, rule)


def _check(options: PruneOptions) -> None:
    once = options.dry_run or options.yes
    if options.no_schedule and (once or options.schedule or options.older_than):
        raise usage_error("prune", "--no-schedule takes no other options, only the name of a source.")
    if options.schedule and once:
        raise usage_error("prune", "--schedule removes nothing now: leave out --dry-run and --yes.")
    if options.older_than is None and not options.no_schedule:
        raise usage_error("prune", "--older-than is missing. It says how long events are kept, such as 400d.")


def _prune_now(options: PruneOptions, rule: RetentionRule) -> None:
    with source_status.opened_store() as engine:
        targets = prune.targets(engine, options.name)
        plans = with_spinner("Counting…", lambda: [prune.plan(engine, target, rule) for target in targets])
        if not options.as_json:
            _show(plans, rule)
        going = sum(plan.going for plan in plans)
        if going and not options.dry_run:
            _confirm(going, options)
        removed = dict.fromkeys(targets, 0)
        if not options.dry_run:
            with progress_bar(lambda: going) as advance:
                for target in targets:
                    for batch in prune.prune(engine, target, rule):
                        removed[target] += batch
                        advance(batch)
    _print_result(options, rule, plans, list(removed.values()))


def _print_result(
    options: PruneOptions, rule: RetentionRule, plans: Sequence[PrunePlan], removed: Sequence[int]
) -> None:
    if options.as_json:
        streams = [_as_json(plan, gone) for plan, gone in zip(plans, removed, strict=True)]
        answer: PruneRecord = {"before": format_rfc3339(rule.before_ns), "dry_run": options.dry_run, "apis": streams}
        print_json(answer)
    elif not any(plan.going for plan in plans):
        print_line("There is nothing to remove.")
    elif options.dry_run:
        print_note("Nothing was removed (--dry-run).")
    else:
        print_line(f"{_events(sum(removed))} removed; the uuid and the SHA-256 digest of each are kept.")


def _confirm(going: int, options: PruneOptions) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"{_events(going)} would be removed permanently, which needs a confirmation.",
            hint="Check with --dry-run. Without a terminal, add --yes.",
            code="usage",
        )
    typer.confirm(f"Remove {_events(going)} permanently?", abort=True, err=True)


def _show(plans: Sequence[PrunePlan], rule: RetentionRule) -> None:
    for name, of_source in groupby(plans, key=lambda plan: plan.target.source_name):
        print_line(f"{printable(name)}: events before {format_time(rule.before_ns)}", style="bold")
        print_fitting(_table(list(of_source)))
    print_line("")


def _table(plans: Sequence[PrunePlan]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        justify = "right" if title in NUMBERS else "left"
        table.add_column(title, justify=justify, header_style="dim", no_wrap=title != COLUMNS[-1])  # type: ignore[arg-type]
    for plan in plans:
        times = [format_time(ns)[:10] for ns in (plan.first_ns, plan.last_ns)]
        table.add_row(plan.target.api, f"{plan.events:,}", f"{plan.going:,}", *times, _retained(plan))
    return table


def _retained(plan: PrunePlan) -> str:
    unsent = f"{plan.unsent:,} not sent yet" if plan.unsent else ""
    recent = f"{plan.recent:,} received lately" if plan.recent else ""
    return ", ".join(text for text in (unsent, recent) if text)


def _as_json(plan: PrunePlan, removed: int) -> PrunedApiRecord:
    return {
        "source": plan.target.source_name,
        "source_id": plan.target.source_id,
        "api": plan.target.api,
        "events": plan.events,
        "to_go": plan.going,
        "oldest_to_go": format_rfc3339(plan.first_ns),
        "newest_to_go": format_rfc3339(plan.last_ns),
        "not_sent": plan.unsent,
        "received_lately": plan.recent,
        "removed": removed,
    }


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


def _schedule(older_than: str, options: PruneOptions) -> None:
    cron = prune_schedule.cron(options.schedule or "")
    source = _find(options.name)
    with prefect_session():
        with_spinner("Deploying…", lambda: deferred.prune_deployment.deploy(older_than, cron, source))
    if options.as_json:
        answer: ScheduledPruneRecord = {
            "source": options.name,
            "scheduled": True,
            "older_than": older_than,
            "schedule": options.schedule or "",
        }
        print_json(answer)
        return
    whose = f"of {printable(options.name)} " if options.name else ""
    print_line(f"Events {whose}older than {older_than} are removed {options.schedule}, while a worker runs.")
    print_note("--dry-run shows which events are affected; --no-schedule removes the schedule.")


def _find(name: str | None) -> PruneTarget | None:
    if name is None:
        return None
    with source_status.opened_store() as engine:
        return prune.targets(engine, name)[0]


def _unschedule(name: str | None, *, as_json: bool) -> None:
    source = _find(name)
    with prefect_session():
        removed = with_spinner(
            "Removing…", lambda: deferred.prune_deployment.remove(source.source_id if source else None)
        )
    if as_json:
        change = "deleted" if removed else "unchanged"
        answer: UnscheduledPruneRecord = {"source": name, "scheduled": False, "change": change}
        print_json(answer)
        return
    whose = f"of {printable(name)} " if name else ""
    print_line(f"Events {whose}are no longer removed by a schedule." if removed else "There was no such schedule.")
