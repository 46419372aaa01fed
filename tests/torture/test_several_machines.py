"""Two machines with a worker each, a PostgreSQL, a Prefect server: a worker is killed, the server, a machine cut off.

Every tick is made by someone, and nothing is lost or twice. Each machine has a host name of its own, so that neither
knows which processes of the other are dead. The schedules tick every 20 seconds here, and not every five minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sqlalchemy import text
from support.one_machine import wait_until
from support.up_process import sources
from torture.machines import AUTH, PASSWORD, Cable, Databases, Machine, Server
from torture.outcome import opened

from blocks.events_api.models import Api
from blocks.store.claim_expiry import CLAIM_NS
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torture.outcome import Row

    from deployments.sandbox.process import SandboxProcess

FAR = """
import sys
from sqlalchemy.exc import OperationalError
from blocks.store.engine import open_engine
connection = open_engine(sys.argv[1]).connect()
connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
print("locked", flush=True)
sys.stdin.readline()
try:
    connection.exec_driver_sql("SELECT 1")
except OperationalError:
    print("gave up", flush=True)
"""
"""Holds a lock in a transaction; after a line of input it makes another query."""

pytestmark = [pytest.mark.torture, pytest.mark.prefect]

COUNT = 6
EVERY = 20
"""Seconds from tick to tick."""
PLANNED = 360
"""Ticks of each source that are planned at once: two hours, so that none is missing for want of a plan."""
SLOW = 3.0  # a machine under other loads
READ_SECONDS = 120.0
"""The time limit for reading each source again."""
CUT_SECONDS = 60.0
PAGE = 200


@dataclass
class Tick:
    """A scheduled run, and its outcome."""

    run: str
    source: str
    due: float
    begun: float | None
    kind: str
    state: str
    message: str

    @property
    def has_collected(self) -> bool:
        return self.kind == "COMPLETED" and self.message.startswith("Collected: ")

    @property
    def is_left_out(self) -> bool:
        """True if it was not to start: a newer run was due, or four runs of its source were running."""
        return self.kind == "CANCELLED" and ("Skipped: " in self.message or "concurrency limit" in self.message)


@dataclass
class Site:
    """The machines and what they share."""

    databases: Databases
    server: Server
    sandbox: SandboxProcess
    cable: Cable
    one: Machine
    two: Machine

    @property
    def url(self) -> str:
        return self.databases.url("events")

    def rows(self, statement: str, **parameters: object) -> list[Any]:
        with opened(self.url) as engine, engine.connect() as connection:
            return list(connection.execute(text(statement), parameters))

    def oldest_read(self) -> float:
        """The earliest of the times at which each stream was last read to its end (seconds since 1970)."""
        found = self.rows("SELECT min(coalesce(drained_ns, 0)), count(*) FROM streams")
        return int(found[0][0]) / 1e9 if found[0][1] == COUNT * len(Api) else 0.0

    def wait_until_read(self, since: float, seconds: float = READ_SECONDS) -> float:
        """Wait until each source was read to its end after `since`. Returns the seconds from `since`."""
        wait_until(lambda: self.oldest_read() > since, seconds * SLOW)
        return time.time() - since

    def claims_of(self, machine: Machine) -> list[tuple[int, int]]:
        """The streams that runs of a machine have claimed, with the fence of each."""
        found = self.rows(
            "SELECT id, fence FROM streams WHERE holder_process LIKE :host ORDER BY id", host=f'["{machine.name}"%'
        )
        return [(int(row[0]), int(row[1])) for row in found]

    def tick_often(self) -> None:
        """Let the schedules of the sources tick every EVERY seconds, each still at its own second."""
        for one in self.server.ask("POST", "/deployments/filter", {"flows": {"name": {"any_": ["collect"]}}}):
            (schedule,) = one["schedules"]
            changed = {"schedule": {**schedule["schedule"], "interval": EVERY}}
            self.server.ask("PATCH", f"/deployments/{one['id']}/schedules/{schedule['id']}", changed)
            # Prefect's scheduler may be about to write what it has planned by the schedule as it was: an hour of ticks
            # that are five minutes apart, after which it sees no need to plan any for some minutes.
            wanted = {"min_runs": PLANNED, "max_runs": PLANNED, "end_time": _iso(time.time() + PLANNED * EVERY)}
            self.server.ask("POST", f"/deployments/{one['id']}/schedule", wanted)

    def ticks(self, begin: float, end: float) -> list[Tick]:
        """The ticks that were due between these times."""
        wanted = {
            "flows": {"name": {"any_": ["collect"]}},
            "flow_runs": {"expected_start_time": {"after_": _iso(begin), "before_": _iso(end)}},
            "limit": PAGE,
        }
        found: list[dict[str, Any]] = []
        while page := self.server.ask("POST", "/flow_runs/filter", {**wanted, "offset": len(found)}):
            found += page
        return [_tick(run) for run in found if run["auto_scheduled"]]


def _tick(run: dict[str, Any]) -> Tick:
    begun = _seconds(run["start_time"]) if run["start_time"] else None
    state = run["state"]
    due, source = _seconds(run["expected_start_time"]), run["parameters"]["source"]
    return Tick(run["id"], source, due, begun, state["type"], state["name"], state["message"] or "")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with (
        Cable.laid() as cable,
        Databases.running(cable.near) as databases,
        running_sandbox(events=600, days=1, rate=60) as sandbox,
        cable.carrying(int(sandbox.base_url.rpartition(":")[2])),
    ):
        server = Server(tmp_path / "server", cable.near, databases.url("prefect", "postgresql+asyncpg"))
        env = {
            "PREFECT_API_URL": server.url,
            "PREFECT_API_AUTH_STRING": AUTH,
            "ONEPASSWORD_SOURCE_DATABASE_URL": databases.url("events"),
        }
        one = Machine("machine-one", tmp_path / "one", env)
        two = Machine("machine-two", tmp_path / "two", env, cable.within)
        try:
            server.start()
            _apply(one, sources(sandbox, COUNT))
            made = Site(databases, server, sandbox, cable, one, two)
            made.tick_often()
            one.start()
            two.start()
            yield made
        finally:
            for part in (one, two, server):
                part.kill()


def _apply(machine: Machine, document: dict[str, Any]) -> None:
    machine.directory.mkdir()
    file = machine.directory / "sources.json"
    file.write_text(json.dumps(document))
    file.chmod(0o600)
    machine.call("apply", str(file))


def test_several_machines(site: Site, row: Row) -> None:
    row.fault = "two machines and all that befalls them"
    site.wait_until_read(time.time() - 1)
    _hold_no_secret_in_templates(site)
    begin = time.time()
    _both_take_runs(site)
    _a_worker_is_killed(site, row)
    _the_server_is_restarted(site, row)
    _a_machine_is_cut_off(site, row)
    end = time.time()
    site.wait_until_read(end)
    wait_until(lambda: not [tick for tick in site.ticks(begin, end) if tick.kind == "SCHEDULED"], READ_SECONDS * SLOW)
    wait_until(lambda: _each_tick_is_followed(site, begin, end), READ_SECONDS * SLOW)
    _every_tick_is_made_by_someone(site, row, begin, end)
    site.one.stop()
    site.two.stop()
    row.times = 3
    _nothing_is_lost_or_twice(site, row)


def _hold_no_secret_in_templates(site: Site) -> None:
    for machine in (site.one, site.two):
        assert machine.process is not None
        children = psutil.Process(machine.process.pid).children()
        (template,) = [one for one in children if "deployments.one_machine.fork_server" in one.cmdline()]
        assert [name for name, value in template.environ().items() if PASSWORD in value or AUTH in value] == []


def _both_take_runs(site: Site) -> None:
    before = [len(machine.submitted_runs()) for machine in (site.one, site.two)]
    wait_until(
        lambda: len(site.one.submitted_runs()) > before[0] and len(site.two.submitted_runs()) > before[1],
        READ_SECONDS * SLOW,
    )


def _catch_in_the_middle(site: Site, machine: Machine) -> None:
    """Wait until a run of a machine has started to read all APIs of a source, which takes some seconds."""
    site.sandbox.fault("delay", seconds=3.0)
    wait_until(lambda: not site.claims_of(machine), READ_SECONDS * SLOW)
    wait_until(lambda: len(site.claims_of(machine)) >= len(Api), READ_SECONDS * SLOW)


def _a_worker_is_killed(site: Site, row: Row) -> None:
    _catch_in_the_middle(site, site.one)
    site.one.kill()
    killed = time.time()
    site.sandbox.clear_faults()
    assert site.claims_of(site.one), "its runs have left their claims"
    site.one.start()
    again = site.wait_until_read(killed, CLAIM_NS / 1e9 + READ_SECONDS)
    row.notes.append(f"worker killed with its runs and started: each source read after {again:.0f} s")


def _the_server_is_restarted(site: Site, row: Row) -> None:
    site.server.kill()
    killed = time.time()
    site.server.start()
    again = site.wait_until_read(killed)
    _both_take_runs(site)
    row.notes.append(f"server killed and started: each source read after {again:.0f} s")


def _a_machine_is_cut_off(site: Site, row: Row) -> None:
    _catch_in_the_middle(site, site.two)
    site.cable.cut()
    cut = time.time()
    site.sandbox.clear_faults()
    held = site.claims_of(site.two)
    assert held, "its runs have claims, and no other machine knows whether they live"
    again = site.wait_until_read(cut, CLAIM_NS / 1e9 + READ_SECONDS)
    wait_until(lambda: time.time() > cut + CUT_SECONDS, CUT_SECONDS * 2)
    taken = len(site.two.submitted_runs())
    site.cable.heal()
    healed = time.time()
    wait_until(lambda: len(site.two.submitted_runs()) > taken, CLAIM_NS / 1e9 * SLOW)
    back = time.time() - healed
    site.wait_until_read(time.time())
    row.notes.append(
        f"machine cut off with {len(held)} claims: the other had read each source after {again:.0f} s; "
        f"healed after {healed - cut:.0f} s, it took runs again after {back:.0f} s"
    )


def _every_tick_is_made_by_someone(site: Site, row: Row, begin: float, end: float) -> None:
    """The run of each tick has begun, unless a newer one took its place, or the machine that took it up was lost.

    And whatever became of it: a run of its source began at that tick or later, and collected.
    """
    ticks = site.ticks(begin, end)
    collected = _begun_and_collected(site.ticks(begin, time.time()))
    assert len(collected) == COUNT
    holes = {source: _holes([one.due - begin for one in ticks if one.source == source]) for source in collected}
    assert not any(holes.values()), f"these ticks were not planned (seconds after the start): {holes}"
    taken = {*site.one.submitted_runs(), *site.two.submitted_runs()}
    lost = [one for one in ticks if one.begun is None and not one.is_left_out and one.run not in taken]
    assert lost == [], "no worker took them"
    waits = [_next(collected[one.source], one.due) - one.due for one in ticks]
    others = Counter(_what_became_of(one) for one in ticks if not one.has_collected)
    row.notes.append(
        f"{len(ticks)} ticks, {len(ticks) - others.total()} of them collected; of the others {dict(others)}; "
        f"a run that collected began at most {max(waits):.0f} s after each tick"
    )


def _each_tick_is_followed(site: Site, begin: float, end: float) -> bool:
    """Whether a run of its source began at each tick or later, and collected: one that began earlier may end later."""
    collected = _begun_and_collected(site.ticks(begin, time.time()))
    return all(collected.get(one.source, [0.0])[-1] >= one.due for one in site.ticks(begin, end))


def _holes(due: list[float]) -> list[float]:
    """The ticks of a source after which the next tick is missing."""
    return [before for before, after in pairwise(sorted(due)) if after - before > EVERY + 1]


def _begun_and_collected(ticks: list[Tick]) -> dict[str, list[float]]:
    """By source: the start times of the runs that collected."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in ticks:
        if one.has_collected and one.begun is not None:
            found[one.source].append(one.begun)
    return {source: sorted(begun) for source, begun in found.items()}


def _next(collected: list[float], due: float) -> float:
    """The start time of the first of these runs at or after a tick."""
    return next(begun for begun in collected if begun >= due)


def _what_became_of(tick: Tick) -> str:
    if tick.is_left_out:
        return "left to a newer run"
    return tick.state if tick.begun else f"{tick.state}, not begun"


def _nothing_is_lost_or_twice(site: Site, row: Row) -> None:
    names = [f"source-{number:03}" for number in range(COUNT)]
    row.compare_while_events_arrive(site.url, site.sandbox, names, lambda name: site.one.call("collect", name))


def test_workers_that_are_stopped(site: Site, row: Row) -> None:
    row.fault = "workers of two machines get SIGTERM"
    site.wait_until_read(time.time())
    _catch_in_the_middle(site, site.one)
    under_way = site.rows("SELECT DISTINCT holder FROM streams WHERE holder IS NOT NULL")
    row.seconds = max(site.one.stop(), site.two.stop())
    ended = [site.server.ask("GET", f"/flow_runs/{run.holder}")["state"] for run in under_way]
    states = {(state["message"] or state["name"]).partition(":")[0] for state in ended}
    assert states
    assert states <= {"Stopped", "Collected"}, ended
    left = site.rows("SELECT id, holder, holder_process FROM streams WHERE holder IS NOT NULL")
    runs = {one.holder: site.server.ask("GET", f"/flow_runs/{one.holder}")["state"] for one in left}
    assert left == [], runs
    row.times, row.notes = len(under_way), [f"their runs ended in {sorted(states)}"]
    site.sandbox.clear_faults()
    _nothing_is_lost_or_twice(site, row)


def test_what_a_machine_held_that_is_cut_off_for_good(row: Row) -> None:
    row.fault = "a machine cut off within a transaction, for good"
    with Cable.laid() as cable, Databases.running(cable.near) as databases:
        url = databases.url("events")
        with _far(cable, url) as (write, read):
            assert read() == "locked\n"
            cable.cut()
            cut = time.time()
            write("\n")
            with opened(url) as engine, engine.connect() as connection:
                connection.exec_driver_sql(f"SET lock_timeout = '{int(CLAIM_NS / 1e9 * SLOW)}s'")
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
            row.times, row.seconds = 1, time.time() - cut
            assert read() == "gave up\n"
            row.notes = [
                f"its locks were free after {row.seconds:.0f} s, and it gave up after {time.time() - cut:.0f} s"
            ]


@contextmanager
def _far(cable: Cable, url: str) -> Iterator[tuple[Callable[[str], None], Callable[[], str]]]:
    command = [*cable.within, sys.executable, "-c", FAR, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        stdin = process.stdin
        try:
            yield lambda line: print(line, end="", file=stdin, flush=True), process.stdout.readline
        finally:
            process.kill()
