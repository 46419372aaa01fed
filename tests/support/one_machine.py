"""A real `up` in a temporary data directory, and functions that start, query and stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from support import empty_prefect, prefect_database
from support.paths import STAND_IN

from blocks.http import tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 240
CLOSED = {"0o600 file", "0o700 directory", "0o700 socket"}
"""The values of `RunningUp.modes` that give no access to other users."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(done: Callable[[], Any], seconds: float = SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < deadline, f"still waiting after {seconds} s: {value!r}"
        time.sleep(0.05)
    return value


@contextmanager
def repeating(act: Callable[[], object], every: float) -> Iterator[None]:
    """In the `with` block, a thread calls `act` again and again, with pauses of `every` seconds."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def environment(directory: Path, port: int) -> dict[str, str]:
    """The environment of a process that writes in `directory` alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))}
    kept.pop("CI", None)  # Prefect sends less where it sees this
    return {
        **kept,
        "HOME": str(directory),
        "PYTHONPATH": str(STAND_IN),
        "ONEPASSWORD_SOURCE_DATA_DIR": str(directory / "data"),
        "ONEPASSWORD_SOURCE_PORT": str(port),
        "ONEPASSWORD_SOURCE_API_TOKEN": "a-token-that-no-child-may-see",
        "STAND_IN_SEEN": str(directory),
        "STAND_IN_LEAKS": str(directory / "leaks"),
    }


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_python(code: str, env: dict[str, str], cwd: Path) -> str:
    """Run code in a Python process. Returns its output; asserts that it succeeds."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _kind(path: Path) -> str:
    return "directory" if path.is_dir() else "socket" if path.is_socket() else "file"


@dataclass
class RunningUp:
    directory: Path
    sources: tuple[str, ...]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Start it and wait until its worker runs."""
        empty_prefect.put_into(self.data)
        before = time.monotonic()
        with (self.directory / "up.out").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(STAND_IN / "run_up.py"), *self.sources],
                env=self.env,
                cwd=self.directory,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,  # the usual one; that of the tests may be stricter
            )
        self.wait_for("Log in with")
        self.seconds["server"] = time.monotonic() - before
        self.wait_for("started!")
        self.seconds["worker"] = time.monotonic() - before - self.seconds["server"]

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def env(self) -> dict[str, str]:
        return environment(self.directory, self.port)

    @property
    def output(self) -> str:
        return (self.directory / "up.out").read_text()

    @property
    def auth(self) -> tuple[str, str]:
        return "admin", str(json.loads((self.data / "secrets.json").read_bytes())["api_password"])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output or not self.is_running())
        assert text in self.output, self.output

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("auth", self.auth)
        url = f"http://127.0.0.1:{self.port}{path}"
        for _ in range(20):
            answer = httpx.request(method, url, timeout=60, trust_env=False, verify=tls.trusted(), **options)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.5)  # its database is busy; Prefect's own client retries too
        return answer

    def deployment(self, name: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/api/deployments/name/collect/{name}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def plan(self, name: str, start: str, count: int) -> None:
        """Let the server schedule `count` runs of the deployment from the time `start` on."""
        wanted = {"start_time": start, "end_time": "2199-01-01T00:00:00Z", "min_runs": count, "max_runs": count}
        answer = self.ask("POST", f"/api/deployments/{self.deployment(name)['id']}/schedule", json=wanted)
        assert answer.status_code == 200, answer.text

    def planned(self, name: str, after: str) -> list[dict[str, Any]]:
        """The scheduled runs of the deployment that are due after a time and have not started."""
        wanted = {
            "deployments": {"id": {"any_": [self.deployment(name)["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"after_": after}},
        }
        return list(self.ask("POST", "/api/flow_runs/filter", json=wanted).json())

    def run(self, name: str, **parameters: Any) -> str:
        """Start a run of the deployment. Returns the run's id."""
        path = f"/api/deployments/{self.deployment(name)['id']}/create_flow_run"
        answer = self.ask("POST", path, json={"parameters": parameters, "state": {"type": "SCHEDULED"}})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def wait_for_server(self) -> None:
        def healthy() -> bool:
            try:
                return self.ask("GET", "/api/health").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(healthy)

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/api/flow_runs/{run}").json()["state"])

    def kept_state(self, run: str) -> tuple[str, str]:
        """The type of a run's state and the outcome in its message, read from the database: no server need run."""
        question = (
            "SELECT state_type::text, flow_run_state.message FROM flow_run"
            " JOIN flow_run_state ON flow_run_state.id = flow_run.state_id WHERE flow_run.id = %s"
        )
        ((kind, message),) = prefect_database.execute(self.data, question, (run,))
        return str(kind), str(message).partition(":")[0]

    def modes(self) -> dict[str, str]:
        """The mode of each path in the data directory, such as `0o600 file`; symbolic links are left out."""
        found = [path for path in self.data.rglob("*") if not path.is_symlink()]
        modes = {}
        for path in found:
            with suppress(FileNotFoundError):  # a database makes and removes files all the time
                modes[str(path.relative_to(self.data))] = f"{stat.S_IMODE(path.stat().st_mode):#o} {_kind(path)}"
        return modes

    def seen(self, name: str) -> list[str]:
        """The lines of a file that the stand-in flow wrote: its process id, directory and environment, or its pages."""
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []

    def processes(self) -> list[psutil.Process]:
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def child(self, module: str) -> psutil.Process:
        """The child process of `up` that runs a module of deployments.one_machine."""
        name = f"deployments.one_machine.{module}"
        children = filter(lives, psutil.Process(self.pid).children())
        (found,) = [one for one in children if name in one.cmdline()]
        return found

    def stop(self, *signals: signal.Signals) -> list[psutil.Process]:
        """Send signals one after the other (SIGINT by default). Returns the processes that are left at its end."""
        assert self.process is not None
        processes = self.processes()
        before = time.monotonic()
        for number in signals or (signal.SIGINT,):
            self.process.send_signal(number)
            time.sleep(0.3)
        self.process.wait(SECONDS)
        self.seconds["stop"] = time.monotonic() - before
        return [process for process in processes if lives(process)]

    def stop_if_running(self) -> None:
        if self.is_running():
            self.stop()


@contextmanager
def no_runs_meanwhile(up: RunningUp, *names: str) -> Iterator[None]:
    """Apply these sources in the `with` block. The runs that `apply` starts are removed: the test starts its own."""
    pool = "/api/work_pools/onepassword-source"
    up.ask("PATCH", pool, json={"is_paused": True})
    yield
    deployments = [up.deployment(name)["id"] for name in names]
    waiting = {
        "deployments": {"id": {"any_": deployments}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    for run in up.ask("POST", "/api/flow_runs/filter", json=waiting).json():
        if not run["auto_scheduled"]:
            up.ask("DELETE", f"/api/flow_runs/{run['id']}")
    up.ask("PATCH", pool, json={"is_paused": False})
