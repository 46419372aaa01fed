"""A real `up` of a temporary data directory, and what a test wants to ask it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

STAND_IN = Path(__file__).parent / "deployments" / "stand_in"
SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(done: Callable[[], Any], seconds: float = SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.05)
    return value


def environment(directory: Path, port: int) -> dict[str, str]:
    """What a process needs to live in `directory` alone."""
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


def run_python(code: str, env: dict[str, str], cwd: Path) -> str:
    """The output of a Python process, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class RunningUp:
    directory: Path
    port: int
    process: subprocess.Popen[str]
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def start(cls, directory: Path, *sources: str, port: int | None = None) -> RunningUp:
        port = port or free_port()
        with (directory / "up.out").open("a") as out:
            process = subprocess.Popen(
                [sys.executable, str(STAND_IN / "run_up.py"), *sources],
                env=environment(directory, port),
                cwd=directory,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return cls(directory, port, process)

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

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output or self.process.poll() is not None)
        assert text in self.output, self.output

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("auth", self.auth)
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=30, trust_env=False, **options)

    def deployment(self, name: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/api/deployments/name/collect/{name}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def run(self, name: str, **parameters: Any) -> str:
        """Start a run of the deployment; its id."""
        path = f"/api/deployments/{self.deployment(name)['id']}/create_flow_run"
        answer = self.ask("POST", path, json={"parameters": parameters, "state": {"type": "SCHEDULED"}})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def state(self, run: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/api/flow_runs/{run}").json()["state"])

    def seen(self, source: str) -> list[str]:
        """What the flow saw: its process id, its directory, the names in its environment."""
        path = self.directory / source
        return path.read_text().split("\n") if path.exists() else []

    def processes(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Stop it; in how many seconds it was gone."""
        before = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        return time.monotonic() - before
