"""`up` left running: two sources, nine pairs with SIEMs of which three fail, and a kill every few minutes.

Prints what each part took at the start and at the end, and how the files and the database have grown; then compares
what was collected, event by event, and what the healthy SIEMs took. Fails where something was lost, where `up` ended,
or where memory grew without bound. `--hours 1` is the least that shows anything; `--loops` keeps processors busy.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import siem_targets
from support.console_reader import ConsoleReader
from support.up_process import Up, busy, sources
from torture.outcome import stored

from blocks.events_api.models import Api
from deployments.sandbox.process import SandboxProcess, running_sandbox

EVERY_SECONDS = 30.0
KILL_EVERY_SECONDS = 420.0
WARM_SECONDS = 600.0
"""What grows until then is caches and pools; what counts is what grows afterwards."""
HEALTHY = ("elasticsearch", "splunk", "sumo-logic")
FAILING = {"webhook": "killed", "otlp": "answers 503", "webhook-2": "never answers"}
NAMES = ("source-000", "source-001")
GROWTH = 1.35
"""How much more memory a part may take at the end than after the warm-up."""
DATABASE = "SELECT pg_database_size(current_database()) / 1e6"
ROWS = "SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY n_live_tup DESC LIMIT 6"


@dataclass
class Soak:
    up: Up
    sandbox: SandboxProcess
    targets: dict[str, Any]
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, float]] = field(default_factory=list)
    reader: ConsoleReader = field(init=False)

    def sample(self) -> dict[str, float]:
        found = {f"{part}, MB": value for part, value in self.up.resource_usage().memory.items()}
        for path in (*self.up.data.glob("*.log*"), *self.up.data.glob("events.db*")):
            found[f"{path.name}, MB"] = path.stat().st_size / 1e6
        cluster = self.up.data / "prefect" / "postgresql-18"
        found["files of the database, MB"] = _size(cluster)
        found["processes"] = float(len(self.up.processes()))
        found["threads of up"] = float(self.up.threads())
        found["slowest page, s"] = self.reader.read()
        return found

    def strike(self) -> None:
        """SIGKILL one part, at random; another one where that has just ended, or no run is under way."""
        parts = ["worker", "guarded_server", "run", "postgres", "database"]
        self.chance.shuffle(parts)
        for what in parts:
            try:
                self._kill(what)
            except (psutil.NoSuchProcess, StopIteration, IndexError, OSError):
                continue
            self.kills[what] += 1
            return

    def _kill(self, what: str) -> None:
        if what == "postgres":
            pid = (self.up.data / "prefect" / "postgresql-18" / "postmaster.pid").read_text().split("\n", 1)[0]
            os.kill(int(pid), 9)
        elif what == "run":
            template = next(one for one in self.up.part("worker").children() if one.status() != psutil.STATUS_ZOMBIE)
            self.chance.choice(template.children()).kill()
        else:
            self.up.part(what).kill()


def _size(directory: Path) -> float:
    total = 0
    for path in directory.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total / 1e6


def soak_up(seconds: float, loops: int) -> bool:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        sandbox = stack.enter_context(running_sandbox(events=3000, days=1, rate=20))
        up = Up(directory)
        up.data.mkdir(mode=0o700)
        soak = Soak(up, sandbox, _targets(stack, directory), random.Random(7))  # noqa: S311 - moments, no secrets
        up.start()
        stack.callback(up.stop)
        soak.reader = ConsoleReader(up.origin, up.data)
        _configure(soak)
        with busy(loops):
            began, killed = time.monotonic(), time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                time.sleep(EVERY_SECONDS)
                soak.samples.append({"minutes": passed / 60, **soak.sample()})
                if time.monotonic() - killed > KILL_EVERY_SECONDS and seconds - passed > KILL_EVERY_SECONDS:
                    killed = time.monotonic()
                    soak.strike()
                if up.process is None or up.process.poll() is not None:
                    break
        return _judge(soak)


def _targets(stack: ExitStack, directory: Path) -> dict[str, Any]:
    made = {}
    for name in (*HEALTHY, *FAILING):
        (directory / name).mkdir()
        made[name] = stack.enter_context(siem_targets.running(name.removesuffix("-2"), directory / name))
    return made


def _configure(soak: Soak) -> None:
    document = sources(soak.sandbox, len(NAMES))
    for entry in document["sources"]:
        entry["config"]["fields"] = {"_siemForward": True}
    soak.up.apply("sources", document)
    pairs = dict.fromkeys(HEALTHY, NAMES) | dict.fromkeys(FAILING, NAMES[:1])
    siems = [
        {"name": name, "type": soak.targets[name].kind, "sources": list(of), "config": soak.targets[name].config}
        for name, of in pairs.items()
    ]
    soak.up.apply("siems", {"siems": siems})
    soak.targets["webhook"].kill()
    soak.targets["otlp"].behave("answer", None, status=503)
    soak.targets["webhook-2"].behave("stall", None)


def _judge(soak: Soak) -> bool:
    console = Console(width=max(Console().width, 110))
    lives = soak.up.process is not None and soak.up.process.poll() is None
    console.print(f"up {'still runs' if lives else 'has ENDED'}; killed: {dict(soak.kills)}")
    troubles = [line for line in soak.up.output.splitlines() if "rouble" in line or "ended" in line or "Over" in line]
    console.print(f"lines on its terminal: {len(soak.up.output.splitlines())}, of these of trouble: {len(troubles)}")
    console.print(*troubles[-25:], sep="\n", highlight=False)
    reader = soak.reader
    console.print(f"pages of the console: {reader.answered:,} answered, others: {reader.failed}")
    console.print("slowest:", {path: f"{seconds:.2f} s" for path, seconds in sorted(reader.slowest.items())})
    problems = _show(soak, console)
    if reader.answered < 100 * sum(reader.failed.values()):
        problems.append(f"pages that did not answer: {reader.failed}")
    problems += _compare(soak, console)
    console.print("Prefect's database, MB:", *soak.up.rows(DATABASE)[0], "largest tables:", soak.up.rows(ROWS))
    for problem in problems:
        console.print(f"PROBLEM: {problem}")
    return lives and not problems


def _show(soak: Soak, console: Console) -> list[str]:
    warm = next((one for one in soak.samples if one["minutes"] * 60 >= WARM_SECONDS), soak.samples[0])
    table = Table(title="what it takes")
    for name in ("", "first", "after the warm-up", "last", "largest"):
        table.add_column(name, justify="right" if name else "left")
    problems = []
    for name in sorted(soak.samples[-1].keys()):
        last, largest = soak.samples[-1][name], max(one.get(name, 0.0) for one in soak.samples)
        values = soak.samples[0].get(name, 0.0), warm.get(name, 0.0), last, largest
        table.add_row(name, *(f"{value:.1f}" for value in values))
        if name.endswith(", MB") and "." not in name and last > GROWTH * max(values[1], 40.0) and "files" not in name:
            problems.append(f"{name} grew from {values[1]:.0f} to {last:.0f}")
    console.print(table)
    return problems


def _compare(soak: Soak, console: Console) -> list[str]:
    problems = []
    url = f"sqlite:///{soak.up.data / 'events.db'}"
    uuids: set[str] = set()
    for name in NAMES:
        before = {api: Counter(body.decode() for body in soak.sandbox.events(api.path, "v2")) for api in Api}
        soak.up.call("collect", name)
        kept = stored(url, name)
        lost = sum((before[api] - Counter(kept.of(api))).total() for api in Api)
        console.print(f"{name}: {kept.total():,} events, lost {lost}, twice {kept.twice()}")
        problems += [f"{name}: lost {lost}, twice {kept.twice()}"] if lost or kept.twice() else []
        uuids |= {uuid for _, uuid, _ in kept.rows}
    for siem in HEALTHY:
        soak.up.call("siem", "run", siem)
        arrived = soak.targets[siem].arrived()
        missing = len(uuids - set(arrived))
        # Both sources have the same events, so that each is sent twice, and more often after a kill.
        console.print(f"{siem}: {len(arrived):,} events of {len(uuids):,}, missing {missing}, sent {arrived.total():,}")
        problems += [f"{siem} misses {missing}"] if missing else []
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--loops", type=int, default=0, help="busy loops beside it")
    options = parser.parse_args()
    sys.exit(0 if soak_up(options.hours * 3600, options.loops) else 1)


if __name__ == "__main__":
    main()
