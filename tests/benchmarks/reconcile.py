"""How fast the flow `reconcile` compares events with a store that has them all, beside a backfill of the same.

The flow `collect` fills the store first. Then a backfill reads all of it again, then a reconcile, each with four
readers. Compare the ratios: the numbers themselves are those of the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from backfill import new_job
from backfill_run import JOB
from collect import KINDS, console, into, own_directories, short
from databases import Databases, prepare, verify
from measure import Job, Measured, run_child
from prefect_server import running_prefect
from reconcile_run import LAST
from rich import box
from rich.console import Console
from rich.table import Table

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = 1_000_000
DAYS = 6
SCRIPTS = {"collect": "flow_run.py", "backfill": "backfill_run.py", "reconcile": "reconcile_run.py"}


def main() -> int:
    chosen = _parser().parse_args()
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        with console.status("Starting a Prefect server"):
            stack.enter_context(running_prefect())
        databases = Databases(stack)
        with running_sandbox(bulk=True, events=chosen.events, days=DAYS) as sandbox:
            job = Job(sandbox.base_url, sandbox.token, chosen.events)
            took = {kind: dict(_runs(databases, kind, job)) for kind in chosen.databases.split(",")}
    _show(took, chosen.events)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=DEFAULT, help="how many, over the three APIs (%(default)s)")
    parser.add_argument("--databases", default=",".join(KINDS), help="sqlite, postgresql or both (%(default)s)")
    return parser


def _runs(databases: Databases, kind: str, job: Job) -> Iterator[tuple[str, Measured]]:
    with databases.empty(kind) as url:
        prepare(url)
        os.environ.update({"ONEPASSWORD_SOURCE_DATABASE_URL": url, LAST: f"{DAYS + 1}d"})
        for what, script in SCRIPTS.items():
            if what == "backfill":
                os.environ[JOB] = new_job(url, DAYS)
            with console.status(f"{job.events:,} events: {what}, {kind}"):
                yield what, run_child(script, into(job, url))
        verify(url, job.events)


def _show(took: dict[str, dict[str, Measured]], events: int) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_CAPTION, caption_justify="left")
    for heading in ("events", "in", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("events/s", "ratio", "s", "CPU s", "ratio", "MB at 1/10", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, runs in took.items():
        known = runs["backfill"]
        for what, one in runs.items():
            table.add_row(
                short(events),
                {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[kind],
                what,
                f"{events / one.seconds:,.0f}",
                f"{known.seconds / one.seconds:.2f}",
                f"{one.seconds:.1f}",
                f"{one.cpu_seconds:.1f}",
                f"{known.cpu_seconds / one.cpu_seconds:.2f}",
                f"{one.tenth_mb:.0f}" if one.tenth_mb else "",
                f"{one.peak_mb:.0f}",
                end_section=what == "reconcile",
            )
    Console(width=110).print(table)


_CAPTION = """\
collect fills the store; the backfill and the reconcile read it all again, and
everything is known. ratio: to the backfill of known events, by the wall and by
CPU of the process."""


if __name__ == "__main__":
    sys.exit(main())
