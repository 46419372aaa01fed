"""`onepassword-source prune`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from blocks.errors import ThirdPartyConfigError
from blocks.store import prune, reading
from deployments.commands.present import ERROR, iso_of, note, plain, say, say_json, time_of, with_spinner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from blocks.store.prune import Plan, Rule, Target

COLUMNS = ("API", "events", "to go", "from (UTC)", "to (UTC)", "old, but stay")
NUMBERS = ("events", "to go")


@dataclass(frozen=True)
class Wish:
    """What the command was asked for."""

    older_than: str | None
    name: str | None
    dry_run: bool = False
    yes: bool = False
    schedule: str | None = None
    no_schedule: bool = False
    as_json: bool = False


def run(wish: Wish) -> None:
    """Prune once, or make or remove the schedule. Raises ThirdPartyConfigError for wishes that do not fit together."""
    _check(wish)
    if wish.no_schedule:
        _unschedule(wish.name)
        return
    older_than = wish.older_than or ""
    rule = prune.rule(older_than)
    if wish.schedule is not None:
        _schedule(older_than, wish)
        return
    _now(wish, rule)


def _check(wish: Wish) -> None:
    once = wish.dry_run or wish.as_json or wish.yes
    if wish.no_schedule and (once or wish.schedule or wish.older_than):
        raise _misused("--no-schedule stands alone, or with the name of a source.")
    if wish.schedule and once:
        raise _misused("--schedule makes a schedule and prunes nothing now: leave out --dry-run, --yes and --json.")
    if wish.older_than is None and not wish.no_schedule:
        raise _misused("--older-than is missing: how long are events kept?")


def _misused(message: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(message, hint="See: onepassword-source prune --help", code="usage")


def _now(wish: Wish, rule: Rule) -> None:
    engine = reading.open_store()
    targets = prune.targets(engine, wish.name)
    plans = with_spinner("Counting…", lambda: [prune.plan(engine, target, rule) for target in targets])
    if not wish.as_json:
        _show(plans, rule)
    going = sum(plan.going for plan in plans)
    if going and not wish.dry_run:
        _confirm(going, wish)
    removed = dict.fromkeys(targets, 0)
    if not wish.dry_run:
        with _progress(going) as advance:
            for target in targets:
                for batch in prune.prune(engine, target, rule):
                    removed[target] += batch
                    advance(batch)
    _tell(wish, rule, plans, list(removed.values()))


def _tell(wish: Wish, rule: Rule, plans: Sequence[Plan], removed: Sequence[int]) -> None:
    if wish.as_json:
        streams = [_as_json(plan, gone) for plan, gone in zip(plans, removed, strict=True)]
        say_json({"before": iso_of(rule.before_ns), "dry_run": wish.dry_run, "streams": streams})
    elif not any(plan.going for plan in plans):
        say("There is nothing to remove.")
    elif wish.dry_run:
        note("Nothing was removed (--dry-run).")
    else:
        say(f"{_events(sum(removed))} removed; the uuid and the SHA-256 digest of each are kept.")


def _confirm(going: int, wish: Wish) -> None:
    if wish.yes:
        return
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            f"{_events(going)} would be removed for ever, so this command asks first.",
            hint="Look with --dry-run, and give --yes where nobody can answer.",
            code="usage",
        )
    typer.confirm(f"Remove {_events(going)} for ever?", abort=True, err=True)


def _show(plans: Sequence[Plan], rule: Rule) -> None:
    for name, of_source in groupby(plans, key=lambda plan: plan.target.source_name):
        say(f"{plain(name)}: events before {time_of(rule.before_ns)}", style="bold")
        say(_table(list(of_source)))
    say("")


def _table(plans: Sequence[Plan]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        justify = "right" if title in NUMBERS else "left"
        table.add_column(title, justify=justify, header_style="dim", no_wrap=title != COLUMNS[-1])  # type: ignore[arg-type]
    for plan in plans:
        times = [time_of(ns)[:10] for ns in (plan.first_ns, plan.last_ns)]
        table.add_row(plan.target.api, f"{plan.events:,}", f"{plan.going:,}", *times, _held(plan))
    return table


def _held(plan: Plan) -> str:
    unsent = f"{plan.unsent:,} not sent yet" if plan.unsent else ""
    recent = f"{plan.recent:,} received lately" if plan.recent else ""
    return ", ".join(text for text in (unsent, recent) if text)


def _as_json(plan: Plan, removed: int) -> dict[str, Any]:
    return {
        "source": plan.target.source_name,
        "api": plan.target.api,
        "events": plan.events,
        "to_go": plan.going,
        "first": iso_of(plan.first_ns),
        "last": iso_of(plan.last_ns),
        "not_sent": plan.unsent,
        "received_lately": plan.recent,
        "removed": removed,
    }


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    if not total or not sys.stderr.isatty():
        yield lambda _: None
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=ERROR, transient=True) as bar:
        removing = bar.add_task("", total=total)
        yield lambda number: bar.advance(removing, number)


def _schedule(older_than: str, wish: Wish) -> None:
    from deployments import retention  # noqa: PLC0415 - imports Prefect
    from deployments.commands.prefect_server import prefect  # noqa: PLC0415

    cron = retention.cron(wish.schedule or "")
    source = _find(wish.name)
    with prefect():
        with_spinner("Deploying…", lambda: retention.deploy(older_than, cron, source))
    whose = f"of {plain(wish.name)} " if wish.name else ""
    say(f"Events {whose}older than {older_than} are removed {wish.schedule}, where a worker runs.")
    note("See what goes with --dry-run; end it with --no-schedule.")


def _find(name: str | None) -> Target | None:
    return prune.targets(reading.open_store(), name)[0] if name else None


def _unschedule(name: str | None) -> None:
    from deployments import retention  # noqa: PLC0415 - imports Prefect
    from deployments.commands.prefect_server import prefect  # noqa: PLC0415

    source = _find(name)
    with prefect():
        removed = with_spinner("Removing…", lambda: retention.remove(source.source_id if source else None))
    whose = f"of {plain(name)} " if name else ""
    say(f"Events {whose}are no longer removed by a schedule." if removed else "There was no such schedule.")
