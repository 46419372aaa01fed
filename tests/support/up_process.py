"""A real `up` in its own directory, and the resources that its processes use: for fleet, soak and torture."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from support import prefect_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

COMMAND = Path(sys.executable).with_name("onepassword-source")
START_SECONDS, STOP_SECONDS = 300.0, 40.0
PARTS = {
    "one_machine.guarded_server": "server",
    "one_machine.worker": "worker",
    "one_machine.fork_server": "runs",  # and each run, which is a fork of it
    "prefect_api.database": "database",
    "bin/postgres": "database",
    "postgres:": "database",
}


@dataclass(frozen=True)
class ResourceUsage:
    """By part of `up`: CPU seconds since its processes started (ended runs included), and memory in MB (PSS)."""

    cpu: dict[str, float]
    memory: dict[str, float]

    @property
    def megabytes(self) -> float:
        return sum(self.memory.values())


@dataclass
class Up:
    """The command `up` and its data directory."""

    directory: Path
    further: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))}
        own = {"HOME": str(self.directory), "ONEPASSWORD_SOURCE_DATA_DIR": str(self.data)}
        return {**kept, **own, **self.further}

    def start(self) -> float:
        """Start it. Returns the seconds until its worker starts runs."""
        before = time.monotonic()
        self.further.setdefault("ONEPASSWORD_SOURCE_PORT", str(free_port()))
        with (self.directory / "up.out").open("ab") as out:
            self.process = subprocess.Popen(
                [COMMAND, "up"], env=self.env, cwd=self.directory, stdout=out, stderr=out, start_new_session=True
            )
        beat = self.data / "prefect" / "worker-beat"
        deadline, since = time.monotonic() + START_SECONDS, time.time()
        while not (beat.exists() and beat.stat().st_mtime > since):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.output[-2000:])
            time.sleep(0.1)
        return time.monotonic() - before

    @property
    def origin(self) -> str:
        """The address of its pages; needs `start` first."""
        return f"http://127.0.0.1:{self.further['ONEPASSWORD_SOURCE_PORT']}"

    @property
    def output(self) -> str:
        return (self.directory / "up.out").read_text(errors="replace")

    def call(self, *arguments: str, codes: frozenset[int] = frozenset({0, 1})) -> str:
        """Run a command. Returns its standard output; raises RuntimeError if its exit code is not one of `codes`."""
        done = subprocess.run(
            [COMMAND, *arguments], env=self.env, cwd=self.directory, capture_output=True, text=True, check=False
        )
        if done.returncode not in codes:
            raise RuntimeError(done.stderr + done.stdout)
        return done.stdout

    def apply(self, name: str, document: dict[str, Any]) -> float:
        """Apply a configuration. Returns the seconds that it takes."""
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps(document))
        file.chmod(0o600)
        before = time.monotonic()
        self.call("apply", str(file), codes=frozenset({0}))
        return time.monotonic() - before

    def resource_usage(self) -> ResourceUsage:
        cpu: dict[str, float] = {}
        memory: dict[str, float] = {}
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                part = _part(process)
                times = process.cpu_times()
                # The CPU time of ended runs and connections is that of their parent's children.
                ended = times.children_user + times.children_system if part in {"runs", "database"} else 0.0
                cpu[part] = cpu.get(part, 0.0) + times.user + times.system + ended
                memory[part] = memory.get(part, 0.0) + process.memory_full_info().pss / 1e6
        return ResourceUsage(cpu, memory)

    def part(self, module: str) -> psutil.Process:
        """The process that runs a module of the deployments, such as `guarded_server`."""
        names = {f"deployments.{package}.{module}" for package in ("one_machine", "prefect_api")}
        return next(one for one in self.processes() if names & set(_command_line(one)))

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        return prefect_database.execute(self.data, statement, parameters)

    def stop(self) -> float:
        """Stop it as Ctrl-C does. Returns the seconds until it has ended."""
        assert self.process is not None
        before = time.monotonic()
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - before

    def threads(self) -> int:
        assert self.process is not None
        return psutil.Process(self.process.pid).num_threads()

    def processes(self) -> list[psutil.Process]:
        """The process of `up` and all its descendants."""
        assert self.process is not None
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


def _command_line(process: psutil.Process) -> list[str]:
    """Empty if the process has ended: a run may end at any time."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _part(process: psutil.Process) -> str:
    part = _named(process)
    # The first template is a fork of the worker and has the same command line.
    parent = process.parent()
    return "runs" if part == "worker" and parent is not None and _named(parent) == "worker" else part


def _named(process: psutil.Process) -> str:
    command = " ".join(_command_line(process))
    return next((part for text, part in PARTS.items() if text in command), "up")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sources(sandbox: SandboxProcess, count: int) -> dict[str, Any]:
    """The configuration of `count` sources, each with its own account."""
    entries = [
        {
            "name": f"source-{number:03}",
            "base_url": sandbox.base_url,
            "api_token": sandbox.issue_token(account=f"ACCOUNT{number:019}"),
            "supported_apis": ["sign-in", "itemUsage", "audit"],
            "collect_from": "30d",
        }
        for number in range(count)
    ]
    return {
        "sources": [
            {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": entry} for entry in entries
        ]
    }


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Load the CPU with so many busy loops, each in its own process."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
