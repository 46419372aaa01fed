"""What keeping the rate costs, and how well it is kept: ours beside Prefect's own limits and, where they are installed
beside, well-known libraries (the project needs none of them):

    python -m pip install --target DIR pyrate-limiter filelock psycopg-pool limits aiolimiter
    .venv/bin/python tests/benchmarks/budget.py --beside DIR

Cost: one request asks after the other, in one process and in four at once, with 20,000 requests of the last hour known
already and far more allowed. Accuracy: four processes ask for all they can get under two windows, scaled down; a judge
looks at the moments at which they got it, which are those at which a server would see the requests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from bisect import bisect_left
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from collect import console, own_directories
from databases import Databases
from limiters import KINDS, Kind
from prefect_server import running_prefect
from rich import box
from rich.console import Console
from rich.table import Table

from blocks.events_api.rate_limit import RateWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 4
KNOWN = 20_000
COST_SECONDS = 3.0
WIDE = (RateWindow(1_000_000, 60.0), RateWindow(2_000_000, 3600.0))
SCALED = (RateWindow(30, 3.0), RateWindow(80, 10.0))
SPAN = 29.5  # seconds: three of the longer window, less a little


@dataclass(frozen=True)
class Grants:
    """What processes were granted: the moments (seconds since 1970), and how long each took (seconds)."""

    moments: list[float]
    took: list[float]

    @property
    def median_ms(self) -> float:
        return median(self.took) * 1000

    @property
    def p99_ms(self) -> float:
        return quantiles(self.took, n=100)[98] * 1000

    def most(self, window: RateWindow) -> int:
        """The most that any stretch of the window's length held."""
        times = sorted(self.moments)
        return max(bisect_left(times, at + window.seconds) - number for number, at in enumerate(times))


@dataclass(frozen=True)
class Result:
    kind: Kind
    one: Grants
    many: Grants
    kept: Grants


def main() -> int:
    chosen = _parser().parse_args()
    if chosen.beside:
        sys.path.append(chosen.beside)
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"  # a wait that the end cuts short is no error
        with console.status("Starting a Prefect server"):
            stack.enter_context(running_prefect())
        databases = Databases(stack)
        kinds = [kind for kind in KINDS if kind.is_there and (kind.name == "ours" or chosen.only in kind.name)]
        _show([_measure(databases, kind, chosen.beside) for kind in kinds])
    missing = sorted({kind.name for kind in KINDS if not kind.is_there})
    if missing:
        console.print(f"Not installed, so not measured: {', '.join(missing)}. How to: --help")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", metavar="DIR", help="where the libraries are that the project does not need")
    parser.add_argument("--only", metavar="NAME", default="", help="ours and what has this in its name")
    return parser


def _measure(databases: Databases, kind: Kind, beside: str | None) -> Result:
    where = "postgresql" if kind.kept_in == "PostgreSQL" else "sqlite"
    with console.status(f"{kind.name}, {kind.kept_in}"):
        with databases.empty(where) as url:
            wide = _Askers(kind, beside, url, WIDE)
            wide.fill(KNOWN)
            one, many = wide.ask(COST_SECONDS, 1), wide.ask(COST_SECONDS, PROCESSES)
        with databases.empty(where) as url:
            scaled = _Askers(kind, beside, url, SCALED)
            scaled.fill(0)
            return Result(kind, one, many, scaled.ask(SPAN, PROCESSES))


@dataclass(frozen=True)
class _Askers:
    """Processes that ask in one way, of one database, under the same windows."""

    kind: Kind
    beside: str | None
    url: str
    windows: tuple[RateWindow, ...]

    def fill(self, known: int) -> None:
        with self._process(known=known) as process:
            if process.wait():
                raise RuntimeError(f"{self.kind.name} could not be prepared.")

    def ask(self, seconds: float, processes: int) -> Grants:
        with ExitStack() as stack:
            asking = [stack.enter_context(self._process(seconds=seconds)) for _ in range(processes)]
            for process in asking:
                _line(process)  # it is ready
            begin = time.time() + 0.2
            for process in asking:
                _write(process, str(begin))
            answers = [json.loads(_line(process)) for process in asking]
        moments, took = ([each for one in answers for each in one[name]] for name in ("moments", "took"))
        return Grants(moments, took)

    @contextmanager
    def _process(self, **wishes: float) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, str(Path(__file__).with_name("limiters.py"))]
        windows = [asdict(one) for one in self.windows]
        what = {"kind": KINDS.index(self.kind), "beside": self.beside, "url": self.url, "windows": windows, **wishes}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            _write(process, json.dumps(what))
            yield process


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    print(line, file=process.stdin, flush=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    if line := process.stdout.readline():
        return line
    raise RuntimeError("A measured process has ended; its standard error says why.")


def possible(windows: tuple[RateWindow, ...], seconds: float) -> int:
    """How many are granted in so many seconds by one who allows all that may be, and no more."""
    times = [0.0]
    while times[-1] < seconds:
        due = [times[-one.requests] + one.seconds for one in windows if len(times) >= one.requests]
        times.append(max([times[-1], *due]))
    return len(times) - 1


def _show(results: list[Result]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_CAPTION, caption_justify="left")
    for heading in ("by", "kept in"):
        table.add_column(heading, no_wrap=True)
    most = [f"{one.requests}/{one.seconds:g} s" for one in SCALED]
    for heading in ("1: ms", "p99", "ratio", "4: ms", "p99", "ratio", *most, "used", "can"):
        table.add_column(heading, justify="right", no_wrap=True)
    ours = {result.kind.kept_in: result for result in results if result.kind.name == "ours"}
    for result in results:
        table.add_row(*_cells(result, ours.get(result.kind.kept_in, ours["SQLite"])))
    Console(width=110).print(table)


_CAPTION = """\
ms, p99: what one request costs, median and 99th percentile, made by one and
by four processes; ratio: of the medians, to ours in that database (SQLite, if
it is kept elsewhere). 30/3 s, 80/10 s: the most that any 3 and any 10 seconds
held, with four processes; ! is more than allowed. used: of all that may be.
can: 2 two windows at once, s a share that gives way, p a pause for all."""


def _cells(result: Result, ours: Result) -> tuple[str, ...]:
    kind, costs = result.kind, []
    for measured, our in ((result.one, ours.one), (result.many, ours.many)):
        costs += [f"{measured.median_ms:.2f}", f"{measured.p99_ms:.1f}", f"{measured.median_ms / our.median_ms:.2f}"]
    most = [(result.kept.most(one), one.requests) for one in SCALED]
    return (
        kind.name,
        kind.kept_in,
        *costs,
        *(f"{found}{'!' if found > allowed else ''}" for found, allowed in most),
        f"{len(result.kept.moments) / possible(SCALED, SPAN):.0%}",
        "".join(letter for letter, can in (("2", kind.two), ("s", kind.share), ("p", kind.pause)) if can),
    )


if __name__ == "__main__":
    sys.exit(main())
