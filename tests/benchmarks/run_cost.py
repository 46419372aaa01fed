"""What a run of an idle source costs, beside a plain Prefect flow with one task: CPU, API calls, rows.

Each run is a process forked from one that has imported everything, against the guarded Prefect server of `up`, with
Prefect's database on PostgreSQL. `server` is the server's CPU beyond what it spends idle, `database` PostgreSQL's.
Compare the ratios: the numbers themselves are those of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from collect import console, own_directories
from counted_server import CALLS
from prefect_server import running_prefect
from rich import box
from rich.table import Table
from sqlalchemy import Engine, create_engine, text
from warm_runs import MODULES, PROFILE

from blocks import settings
from deployments.prefect_api import database, server_access, server_settings
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

    from deployments.one_machine.processes import Child
    from deployments.sandbox.process import SandboxProcess

SOURCE = "benchmark"
STOP_SECONDS = 10.0
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 20.0  # Prefect writes events and task runs 5 s after a run; PostgreSQL shows its counters 10 s later
OWN_CALLS = {
    "POST /api/deployments/…/create_flow_run": 1,
    "GET /api/flow_runs/…": 2,
    "GET /api/deployments/…": 1,
    "GET /api/flows/…": 1,
}
"""What this benchmark, and not the run, requests with each run."""
_TICKS = os.sysconf("SC_CLK_TCK")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(frozen=True)
class Cost:
    """Of one run, on average. `calls` by method and path, `rows` written by table."""

    what: str
    run: float
    server: float
    database: float
    calls: dict[str, float]
    rows: dict[str, float]

    @property
    def number_of_calls(self) -> float:
        return sum(self.calls.values())

    @property
    def number_of_rows(self) -> float:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Spent:
    """Of several runs together, and of the time in which they came."""

    seconds: float
    run: float
    server: float
    database: float
    calls: Counter[str]
    rows: Counter[str]


@dataclass(frozen=True)
class Server:
    """The Prefect server that is measured."""

    child: Child
    lines: Path
    """The file of its requests, see `counted_server.py`."""
    engine: Engine
    """Prefect's database."""

    def cpu_seconds(self) -> float:
        assert self.child.pid
        return _cpu(self.child.pid)

    def database_cpu_seconds(self) -> float:
        """Of PostgreSQL's own process, and of all that it has started, those that have ended too."""
        server = database.cluster().pid()
        assert server
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return sum(_cpu(pid, ended=True) for pid in (server, *map(int, children)))

    def calls(self) -> Counter[str]:
        return Counter(_ID.sub("…", line) for line in self.lines.read_text().splitlines())

    def rows(self) -> Counter[str]:
        query = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
        with self.engine.connect() as connection:
            return Counter({str(row[0]): int(row[1]) for row in connection.execute(text(query))})


def main() -> int:
    chosen = _parser().parse_args()
    with ExitStack() as stack:
        stack.enter_context(own_directories())
        sandbox = stack.enter_context(running_sandbox(events=300, days=3))
        with console.status("Starting PostgreSQL and a Prefect server"):
            server = stack.enter_context(_running_server())
        runs = stack.enter_context(_warm_runs(chosen))
        deployments = _deploy(sandbox)
        for deployment in deployments.values():  # the first run is not idle, and the server warms up with it
            _run(runs, deployment)
        with console.status("Nothing runs"):
            idle = _idle(server)
        console.print(f"Idle: the server takes {idle[0]:.1%} of a core, the database {idle[1]:.1%}.")
        costs = []
        for name, deployment in deployments.items():
            with console.status(f"Runs of {name}"):
                ran = _spent(server, runs, deployment, chosen.runs)
            costs.append(_cost(name, ran, idle, chosen.runs))
        if chosen.py_spy:
            _spy(server, runs, deployments[SOURCE], chosen)
    if chosen.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))  # noqa: T201
    else:
        _show(costs)
    return 0


def _cpu(pid: int, *, ended: bool = False) -> float:
    """CPU seconds of a process; `ended`: with those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if ended else 13])) / _TICKS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each flow (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--profile", help="a file for a run's cProfile")
    parser.add_argument("--modules", help="a file for the modules that a run imports though it is forked")
    parser.add_argument("--py-spy", help="a file for the server's profile by py-spy (raw), while runs come")
    return parser


@contextmanager
def _running_server() -> Iterator[Server]:
    lines = settings.data_dir() / "calls"
    os.environ.update({CALLS: str(lines), "PYTHONPATH": str(Path(__file__).parent)})
    with running_prefect("counted_server") as child:
        server_access.activate()
        engine = create_engine(database.psycopg_url().replace("postgresql:", "postgresql+psycopg:", 1))
        yield Server(child, lines, engine)
        engine.dispose()


def _deploy(sandbox: SandboxProcess) -> dict[str, UUID]:
    """The source and the plain flow, whose schedules are paused: ids of the deployments by name."""
    from flow_run import NAME, save_blocks
    from measure import Job
    from prefect.client.orchestration import get_client

    from blocks.prefect_names import block_name
    from blocks.source import OnePasswordSource
    from deployments import sources
    from deployments.prefect_api import deploy, templates

    assert NAME == SOURCE
    with get_client(sync_client=True) as client:
        deploy.ensure_work_pool(client, local=True)
    save_blocks(Job(sandbox.base_url, sandbox.token, 0))
    block = cast("OnePasswordSource", OnePasswordSource.load(block_name(SOURCE)))
    sources.deploy(SOURCE, None, block.source_id, paused=True)
    template = templates.read_template(templates.COLLECT)
    deploy.deploy_spec(
        {**template, "name": "plain", "entrypoint": "plain_flow.plain", "parameters": {}, "schedules": []}
    )
    with get_client(sync_client=True) as client:
        found = {"plain": deploy.find_by_name(client, "plain", "plain"), SOURCE: deploy.find_deployment(client, SOURCE)}
    return {name: one.id for name, one in found.items() if one is not None}


@contextmanager
def _warm_runs(chosen: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    modules = ["prefect.engine", "prefect.flow_engine", "prefect.task_engine", "flows.collect", "plain_flow"]
    modules += ["prefect.utilities.visualization", "blocks.events_api.client", "jwt", "sqlite3"]
    environment = {
        **os.environ,
        **server_settings.RUNS,
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        **({PROFILE: chosen.profile} if chosen.profile else {}),
        **({MODULES: chosen.modules} if chosen.modules else {}),
    }
    runs = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("warm_runs.py")), *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(settings.data_dir() / "runs.log").open("wb"),
        text=True,
        env=environment,
    )
    try:
        assert _read(runs) == "ready"
        yield runs
    finally:
        if runs.stdin:
            runs.stdin.close()
        runs.wait(STOP_SECONDS)


def _request(flow_run: FlowRun) -> dict[str, object]:
    """What the worker hands to the run's process; it has the deployment and the flow before it starts one."""
    from prefect.client.orchestration import get_client

    from deployments.one_machine.related_objects import related_objects
    from deployments.one_machine.worker import SourceJobConfiguration

    assert flow_run.deployment_id
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run.id)
        deployment, flow = client.read_deployment(flow_run.deployment_id), client.read_flow(flow_run.flow_id)
    configuration = SourceJobConfiguration()
    configuration.prepare_for_flow_run(flow_run, deployment, flow)
    env = {name: value for name, value in configuration.env.items() if name.startswith("PREFECT__") and value}
    return {"env": env, "related": related_objects(flow_run, env)}


def _read(runs: subprocess.Popen[str]) -> str:
    assert runs.stdout is not None
    return runs.stdout.readline().strip()


def _run(runs: subprocess.Popen[str], deployment: UUID) -> float:
    """Make a flow run and run it. CPU seconds of its process."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        created = client.create_flow_run_from_deployment(deployment)
    assert runs.stdin is not None
    runs.stdin.write(f"{json.dumps(_request(created))}\n")
    runs.stdin.flush()
    measured = json.loads(_read(runs))
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(created.id).state
    if measured["exit_code"] or state is None or not state.is_completed():
        sys.exit(f"The run ended {state}.\n{(settings.data_dir() / 'runs.log').read_text()[-3000:]}")
    return float(measured["cpu_seconds"])


def _idle(server: Server) -> tuple[float, float]:
    """CPU seconds a second, of server and database, while nothing runs."""
    time.sleep(SETTLE_SECONDS)
    before, database = server.cpu_seconds(), server.database_cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return (
        (server.cpu_seconds() - before) / IDLE_SECONDS,
        (server.database_cpu_seconds() - database) / IDLE_SECONDS,
    )


def _spent(server: Server, runs: subprocess.Popen[str], deployment: UUID, count: int) -> Spent:
    """What so many runs took, with what the server does after them."""
    began, cpu, database = time.monotonic(), server.cpu_seconds(), server.database_cpu_seconds()
    calls, rows = server.calls(), server.rows()
    used = sum(_run(runs, deployment) for _ in range(count))
    time.sleep(SETTLE_SECONDS)
    made = server.calls() - calls
    for own, times in OWN_CALLS.items():
        made[own] = max(0, made[own] - times * count)
    return Spent(
        seconds=time.monotonic() - began,
        run=used,
        server=server.cpu_seconds() - cpu,
        database=server.database_cpu_seconds() - database,
        calls=made,
        rows=server.rows() - rows,
    )


def _cost(what: str, spent: Spent, idle: tuple[float, float], count: int) -> Cost:
    return Cost(
        what,
        spent.run / count,
        (spent.server - idle[0] * spent.seconds) / count,
        (spent.database - idle[1] * spent.seconds) / count,
        *({key: n / count for key, n in found.most_common() if n} for found in (spent.calls, spent.rows)),
    )


def _spy(server: Server, runs: subprocess.Popen[str], deployment: UUID, chosen: argparse.Namespace) -> None:
    command = ["py-spy", "record", "-p", str(server.child.pid), "-f", "raw", "-r", "200", "-o", chosen.py_spy]
    spy = subprocess.Popen([str(Path(sys.executable).with_name(command[0])), *command[1:], "-d", "60"])
    for _ in range(chosen.runs):
        _run(runs, deployment)
    spy.send_signal(signal.SIGINT)
    spy.wait()


def _show(costs: list[Cost]) -> None:
    plain, ours = costs
    table = Table("", plain.what, ours.what, "ratio", box=box.SIMPLE_HEAD)
    for name in ("run", "server", "database"):
        before, after = getattr(plain, name), getattr(ours, name)
        table.add_row(f"CPU s of the {name}", f"{before:.2f}", f"{after:.2f}", f"{after / before:.1f}")
    for name, part in (("API calls", "calls"), ("rows written", "rows")):
        of = [dict(getattr(cost, part)) for cost in costs]
        table.add_section()
        table.add_row(name, *(f"{sum(one.values()):.1f}" for one in of), _ratio(*(sum(one.values()) for one in of)))
        for key in sorted({*of[0], *of[1]}, key=lambda key: -of[1].get(key, 0)):
            table.add_row(f"  {key}", *(f"{one.get(key, 0):.1f}" for one in of))
    console.print(table)


def _ratio(before: float, after: float) -> str:
    return f"{after / before:.1f}" if before else ""


if __name__ == "__main__":
    sys.exit(main())
