"""How many sources one machine takes: idle sources under a real `up`, each collected every five minutes.

Prints for each number of sources the runs that were due and those that began, how late they began, what a run costs,
what all processes take, and how much of Prefect's database a run takes. An hour and more with the defaults;
`--sources 30 --minutes 6` is a first look.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.up_process import Up, busy, sources

from deployments.sandbox.process import running_sandbox

WARM_SECONDS = 330.0
"""The first round collects what there is, and all sources begin at once; what is measured is the rounds after it."""
LATE_RUNS = """
SELECT EXTRACT(EPOCH FROM start_time - expected_start_time), state_type::text FROM flow_run
JOIN flow ON flow.id = flow_run.flow_id
WHERE flow.name = 'collect' AND auto_scheduled AND expected_start_time BETWEEN to_timestamp(%s) AND to_timestamp(%s)
"""
TABLE_SIZES = """
SELECT CASE WHEN relname IN ('events', 'event_resources') THEN 'events' ELSE 'runs' END,
       SUM(pg_total_relation_size(oid))
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace GROUP BY 1
"""
"""Prefect keeps its events for two days, and all else of a run as long as the run (`ONEPASSWORD_SOURCE_RUNS_KEPT`)."""
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """`seconds` of so many sources, beside so many busy loops, after so many seconds that do not count."""

    count: int
    seconds: float
    loops: int = 0
    warm: float = WARM_SECONDS


@dataclass(frozen=True)
class Result:
    case: Case
    applied: float
    started: float
    due: int
    late: list[float]
    failed: int
    cpu: dict[str, float]
    memory: dict[str, float]
    bytes_of: dict[str, int]

    @property
    def begun(self) -> int:
        return len(self.late)


def measure(case: Case) -> Result:
    with tempfile.TemporaryDirectory(prefix="fleet-") as directory, running_sandbox(events=300, days=1) as sandbox:
        up = Up(Path(directory))
        up.data.mkdir(mode=0o700)
        started = up.start()
        applied = up.apply("sources", sources(sandbox, case.count))
        try:
            with busy(case.loops):
                return _measured(up, case, applied, started)
        finally:
            up.stop()


def _measured(up: Up, case: Case, applied: float, started: float) -> Result:
    time.sleep(case.warm)
    since, before, memory = time.time(), up.resource_usage(), [up.resource_usage()]
    sizes = _table_sizes(up)
    while time.time() < since + case.seconds:
        time.sleep(10)
        memory.append(up.resource_usage())
    until = time.time()
    after = up.resource_usage()
    grown = {kind: size - sizes[kind] for kind, size in _table_sizes(up).items()}
    time.sleep(SETTLE_SECONDS)
    rows = up.rows(LATE_RUNS, since, until)
    return Result(
        case=case,
        applied=applied,
        started=started,
        due=len(rows),
        late=[max(float(late), 0.0) for late, _ in rows if late is not None],
        failed=sum(state in {"FAILED", "CRASHED"} for _, state in rows),
        cpu={part: after.cpu[part] - before.cpu.get(part, 0.0) for part in after.cpu},
        memory=max(memory, key=lambda taken: taken.megabytes).memory,
        bytes_of=grown,
    )


def _table_sizes(up: Up) -> dict[str, int]:
    return {kind: int(size) for kind, size in up.rows(TABLE_SIZES)}


def show(results: list[Result]) -> None:
    table = Table(title="fleet: idle sources, each collected every five minutes")
    for name in ("sources", "beside", "apply", "due", "begun", "failed", "late: median", "95 %"):
        table.add_column(name, justify="right")
    for name in (
        "CPU s a run: run",
        "worker",
        "server",
        "database",
        "cores",
        "MB at the peak",
        "kB a run: events",
        "else",
    ):
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(*_row(result))
    Console(width=max(Console().width, 160)).print(table)


def _row(result: Result) -> list[str]:
    runs = max(result.begun, 1)
    each = [result.cpu.get(part, 0.0) / runs for part in ("runs", "worker", "server", "database")]
    late = result.late or [float("nan")]
    ninety_fifth = quantiles(late, n=20)[-1] if len(late) > 1 else late[0]
    return [
        f"{result.case.count}",
        f"{result.case.loops} loops" if result.case.loops else "-",
        f"{result.applied:.1f} s",
        f"{result.due}",
        f"{result.begun}",
        f"{result.failed}",
        f"{median(late):.1f} s",
        f"{ninety_fifth:.1f} s",
        *(f"{seconds:.2f}" for seconds in each),
        f"{sum(result.cpu.values()) / result.case.seconds:.2f}",
        f"{sum(result.memory.values()):.0f}",
        *(f"{result.bytes_of[kind] / 1000 / runs:.0f}" for kind in ("events", "runs")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 30, 100, 300])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--loops", type=int, default=0, help="busy loops beside it")
    parser.add_argument("--warm", type=float, default=WARM_SECONDS, help="seconds before what is measured")
    options = parser.parse_args()
    results = []
    for count in options.sources:
        results.append(measure(Case(count, options.minutes * 60, options.loops, options.warm)))
        show(results[-1:])
        sys.stdout.flush()
    if len(results) > 1:
        show(results)


if __name__ == "__main__":
    main()
