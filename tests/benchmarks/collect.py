"""How fast the flow `collect` is, beside a bare loop that does the least there is to do (see floor.py).

A million events are collected into SQLite and into PostgreSQL. The sandbox makes them in a process of its
own; the flow and the floor each run in a process of their own, one after the other, against the same sandbox,
while a Prefect server idles as it does under `onepassword-source up`.
Compare the ratios within one table: the numbers themselves are those of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from databases import Databases, prepare, verify
from measure import Job, Measured, run_child
from prefect_server import running_prefect
from rich import box
from rich.console import Console
from rich.table import Table

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT = 1_000_000
CURVE = (100_000, 1_000_000, 10_000_000)
POSTGRESQL_MOST = 1_000_000  # of the curve, unless the databases are named
KINDS = ("sqlite", "postgresql")
console = Console(stderr=True)


@dataclass(frozen=True)
class Run:
    """`what` is sandbox (reading only), floor or flow. `server_cpu_seconds` are the database server's own."""

    what: str
    database: str
    events: int
    measured: Measured
    server_cpu_seconds: float | None = None

    @property
    def rate(self) -> float:
        return self.events / self.measured.seconds

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "events_per_second": self.rate}


def main() -> int:
    chosen = _parser().parse_args()
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        with console.status("Starting a Prefect server"):
            stack.enter_context(running_prefect())
        databases = Databases(stack)
        runs = [run for events, kinds in _sizes(chosen) for run in _measure(databases, events, kinds)]
    if chosen.json:
        print(json.dumps([run.as_json() for run in runs], indent=2))  # noqa: T201
    else:
        _show(runs)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=DEFAULT, help="how many, over the three APIs (%(default)s)")
    parser.add_argument("--databases", help="sqlite, postgresql or both, with a comma (both)")
    parser.add_argument("--curve", action="store_true", help="100 thousand, 1 million and 10 million (SQLite)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _sizes(chosen: argparse.Namespace) -> Iterator[tuple[int, tuple[str, ...]]]:
    named = tuple(chosen.databases.split(",")) if chosen.databases else None
    if unknown := set(named or ()) - set(KINDS):
        sys.exit(f"Unknown database: {', '.join(sorted(unknown))}. There are: {', '.join(KINDS)}.")
    for events in CURVE if chosen.curve else (chosen.events,):
        too_large = chosen.curve and events > POSTGRESQL_MOST
        yield events, named or (KINDS[:1] if too_large else KINDS)


@contextmanager
def own_directories() -> Iterator[None]:
    """No setting of the user's counts, and nothing of the user's is written to."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "ONEPASSWORD_SOURCE_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="bench-home-") as home:
        os.environ.update(ONEPASSWORD_SOURCE_DATA_DIR=home, PREFECT_LOGGING_LEVEL="WARNING")
        yield


def _measure(databases: Databases, events: int, kinds: tuple[str, ...]) -> Iterator[Run]:
    with running_sandbox(bulk=True, events=events) as sandbox:
        job = Job(sandbox.base_url, sandbox.token, events)
        with console.status(f"{events:,} events: reading only"):
            yield Run("sandbox", "none", events, run_child("floor.py", job))
        for kind in kinds:
            for what in ("floor", "flow"):
                with console.status(f"{events:,} events: {what}, {kind}"):
                    yield _store(databases, kind, what, job)


def _store(databases: Databases, kind: str, what: str, job: Job) -> Run:
    with databases.empty(kind) as url:
        os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url
        if what == "floor":
            prepare(url)
        before = databases.server_cpu(kind)
        measured = run_child("floor.py" if what == "floor" else "flow_run.py", into(job, url))
        after = databases.server_cpu(kind)
        verify(url, job.events)
    return Run(what, kind, job.events, measured, None if before is None or after is None else after - before)


def into(job: Job, url: str) -> Job:
    return Job(job.base_url, job.token, job.events, url)


def _show(runs: list[Run]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_CAPTION, caption_justify="left")
    for heading in ("events", "into", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("events/s", "ratio", "s", "CPU s", "DB CPU", "MB", "all s"):
        table.add_column(heading, justify="right", no_wrap=True)
    floors = {(run.events, run.database): run for run in runs if run.what == "floor"}
    for run in runs:
        table.add_row(*_cells(run, floors.get((run.events, run.database))), end_section=run.what != "floor")
    Console().print(table)


_CAPTION = """\
by: the sandbox alone (pages read and dropped), the floor, the flow.
events/s, s, CPU s, DB CPU: of reading and storing; the CPU of the process,
and of the database's server. ratio: to the floor. MB: the process's peak
memory. all s: the whole process, with its imports and Prefect's states."""


def _cells(run: Run, floor: Run | None) -> tuple[str, ...]:
    took = run.measured
    return (
        short(run.events),
        {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(run.database, ""),
        run.what,
        f"{run.rate:,.0f}",
        f"{run.rate / floor.rate:.2f}" if floor else "",
        f"{took.seconds:.1f}",
        f"{took.cpu_seconds:.1f}",
        "" if run.server_cpu_seconds is None else f"{run.server_cpu_seconds:.1f}",
        f"{took.peak_mb:.0f}",
        f"{took.whole_seconds:.1f}",
    )


def short(events: int) -> str:
    million, thousand = 1_000_000, 1000
    if events % million == 0:
        return f"{events // million} M"
    return f"{events // thousand} k" if events % thousand == 0 else str(events)


if __name__ == "__main__":
    sys.exit(main())
