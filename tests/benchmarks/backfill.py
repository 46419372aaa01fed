"""How fast the flow `backfill` is, beside the floor (floor.py) and live collection, alone and shared by two processes.

The sandbox makes the events in a process of its own, without rate windows; every run fills an empty store. Then the
same with rate windows, scaled so that they are used up again and again: what part of the share that a backfill may
have was used, and how often the server refused (never, or the budget does not work).
Compare the ratios within one table: the numbers themselves are those of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from backfill_run import JOB
from budget import possible
from collect import KINDS, console, into, own_directories, short
from databases import SOURCE, Databases, prepare, verify
from measure import Job, Measured, run_child
from prefect_server import running_prefect
from rich import box
from rich.console import Console
from rich.table import Table

from blocks.events_api.models import Api
from blocks.events_api.rate_limit import RateWindow
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.engine import open_engine
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

DEFAULT, DEFAULT_LIMITED = 500_000, 300_000
DAYS = 7.0
DAY_NS = 86_400 * 10**9
SCRIPTS = {"floor": ["floor.py"], "live": ["flow_run.py"], "backfill": ["backfill_run.py"]}
SCRIPTS["backfill, 2 processes"] = SCRIPTS["backfill"] * 2
LIMITS = (RateWindow(60, 6.0), RateWindow(300, 36.0))
SHARE = 0.8


@dataclass(frozen=True)
class _Filled:
    """A sandbox, and how many events of how many days it has."""

    sandbox: SandboxProcess
    events: int
    days: float


@dataclass(frozen=True)
class Run:
    """What the processes took together; `requests` and `refused` (429) as the sandbox counted them."""

    what: str
    database: str
    events: int
    processes: tuple[Measured, ...]
    requests: int
    refused: int

    @property
    def seconds(self) -> float:
        began = min(one.began for one in self.processes)
        return max(one.began + one.seconds for one in self.processes) - began

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def used(self) -> float:
        """Of all requests that a backfill may have made in this time."""
        share = tuple(RateWindow(int(one.requests * SHARE), one.seconds) for one in LIMITS)
        return self.requests / possible(share, self.seconds)


def main() -> int:
    chosen = _parser().parse_args()
    kinds = tuple(chosen.databases.split(","))
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        with console.status("Starting a Prefect server"):
            stack.enter_context(running_prefect())
        databases = Databases(stack)
        runs = list(_free(databases, chosen, kinds))
        limited = list(_limited(databases, chosen, kinds)) if chosen.limited else []
    if chosen.json:
        print(json.dumps([asdict(run) for run in runs + limited], indent=2))  # noqa: T201
    else:
        _show(runs)
        _show_limited(limited)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=DEFAULT, help="how many, over the three APIs (%(default)s)")
    parser.add_argument(
        "--limited", type=int, default=DEFAULT_LIMITED, help="how many under rate windows; 0 for none (%(default)s)"
    )
    parser.add_argument("--days", type=float, default=DAYS, help="over so many days, in windows of one (%(default)s)")
    parser.add_argument("--databases", default=",".join(KINDS), help="sqlite, postgresql or both (%(default)s)")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="which of: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _free(databases: Databases, chosen: argparse.Namespace, kinds: tuple[str, ...]) -> Iterator[Run]:
    with running_sandbox(bulk=True, events=chosen.events, days=chosen.days) as sandbox:
        for kind in kinds:
            for what in SCRIPTS:
                if what in chosen.only:
                    yield _run(databases, kind, what, _Filled(sandbox, chosen.events, chosen.days))


def _limited(databases: Databases, chosen: argparse.Namespace, kinds: tuple[str, ...]) -> Iterator[Run]:
    os.environ["ONEPASSWORD_SOURCE_RATE_LIMITS"] = " ".join(f"{one.requests}/{one.seconds:g}" for one in LIMITS)
    for kind in kinds:
        for what in list(SCRIPTS)[2:]:
            if what in chosen.only:
                both = [(one.requests, one.seconds) for one in LIMITS]
                with running_sandbox(bulk=True, events=chosen.limited, days=chosen.days, rate_windows=both) as sandbox:
                    yield _run(databases, kind, what, _Filled(sandbox, chosen.limited, chosen.days))


def _run(databases: Databases, kind: str, what: str, filled: _Filled) -> Run:
    sandbox, events = filled.sandbox, filled.events
    sandbox.clear_requests()
    with databases.empty(kind) as url, console.status(f"{events:,} events: {what}, {kind}"):
        os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url
        prepare(url)
        os.environ[JOB] = new_job(url, filled.days)
        job = into(Job(sandbox.base_url, sandbox.token, events), url)
        scripts = SCRIPTS[what]
        with ThreadPoolExecutor(len(scripts)) as pool:
            took = tuple(pool.map(lambda script: run_child(script, job), scripts))
        verify(url, events)
    endpoints = sandbox.requests()["endpoints"].values()
    requests = sum(one.get("requests", 0) for one in endpoints)
    return Run(what, kind, events, took, requests, sum(one.get("429", 0) for one in endpoints))


def new_job(url: str, days: float) -> str:
    """The job that all processes of a run share, as `backfill --start` makes it."""
    now_ns = time.time_ns()
    engine = open_engine(url)
    wanted = JobRequest(BACKFILL, SOURCE.id, tuple(Api), now_ns - int((days + 1) * DAY_NS), now_ns)
    job = jobs.start(engine, wanted, DAY_NS)
    engine.dispose()
    return job.id


def _table(caption: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for number, heading in enumerate(("events", "into", "by", *headings)):
        table.add_column(heading, justify="right" if number > 2 else "left", no_wrap=True)
    return table


def _show(runs: list[Run]) -> None:
    table = _table(_CAPTION, "events/s", "to floor", "to live", "s", "CPU s", "MB at 1/10", "MB")
    of = {(run.database, run.what): run for run in runs}
    for run in runs:
        floor, live = of.get((run.database, "floor")), of.get((run.database, "live"))
        table.add_row(
            *_named(run),
            f"{run.rate:,.0f}",
            f"{run.rate / floor.rate:.2f}" if floor else "",
            f"{run.rate / live.rate:.2f}" if live else "",
            f"{run.seconds:.1f}",
            f"{sum(one.cpu_seconds for one in run.processes):.1f}",
            " ".join(f"{one.tenth_mb:.0f}" for one in run.processes if one.tenth_mb),
            " ".join(f"{one.peak_mb:.0f}" for one in run.processes),
            end_section=run.what == list(SCRIPTS)[-1],
        )
    Console(width=110).print(table)


_CAPTION = """\
Without rate windows. to floor, to live: ratio of events a second to those of
the floor, and of the flow `collect`. CPU s: of the processes, together. MB: the
peak memory of each process, when a tenth of the events was stored, and of all."""


def _show_limited(runs: list[Run]) -> None:
    if not runs:
        return
    limits = ", ".join(f"{one.requests} in {one.seconds:g} s" for one in LIMITS)
    table = _table(_LIMITED.format(limits=limits, share=f"{SHARE:.0%}"), "s", "requests", "a second", "used", "429s")
    for run in runs:
        table.add_row(
            *_named(run),
            f"{run.seconds:.1f}",
            f"{run.requests:,}",
            f"{run.requests / run.seconds:.1f}",
            f"{run.used:.0%}",
            str(run.refused),
        )
    Console(width=110).print(table)


_LIMITED = """\
With rate windows: {limits}, of which a backfill may use {share}.
used: of all requests that it may have made in this time."""


def _named(run: Run) -> tuple[str, ...]:
    return short(run.events), {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[run.database], run.what


if __name__ == "__main__":
    sys.exit(main())
