"""The real command line, and runs of the flow, each in its own process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from support import empty_prefect
from support.one_machine import RunningUp, lives, no_runs_meanwhile, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torture.file_clock import FileClock

    from deployments.sandbox.process import SandboxProcess


HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("onepassword-source")
PATH = os.pathsep.join(map(str, [HERE / "site", HERE.parent, HERE.parent.parent]))
TICK = 300.0  # seconds from one scheduled run to the next


@dataclass
class Up(RunningUp):
    """The real command line with its own data directory; its processes use `clock`."""

    clock: FileClock = field(kw_only=True)
    script: Path | None = None

    @property
    def env(self) -> dict[str, str]:
        own = super().env
        del own["ONEPASSWORD_SOURCE_API_TOKEN"]
        return {**own, "PYTHONPATH": PATH, "TORTURE_CLOCK": str(self.directory / "clock")}

    def start(self) -> None:
        empty_prefect.put_into(self.data)
        command = [sys.executable, str(self.script)] if self.script else [str(COMMAND), "up"]
        with (self.directory / "up.out").open("w") as out:
            self.process = subprocess.Popen(
                command, env=self.env, cwd=self.directory, stdout=out, stderr=out, start_new_session=True
            )
        self.wait_for("started!")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output or not self.is_running(), 300)
        assert text in self.output, self.output

    def call(self, *arguments: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            [COMMAND, *arguments],
            env={**self.env, **more},
            cwd=self.directory,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    def apply(self, name: str, sandbox: SandboxProcess, url: str | None = None) -> None:
        config = {
            "name": name,
            "base_url": sandbox.base_url,
            "api_token": sandbox.token,
            "supported_apis": ["sign-in", "itemUsage", "audit"],
            "collect_from": "120d",
        }
        file = self.directory / f"{name}.json"
        source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}
        file.write_text(json.dumps({"api.version": "v1", "source": source}))
        file.chmod(0o600)
        with no_runs_meanwhile(self, name):
            self.call("apply", file.name, **({"ONEPASSWORD_SOURCE_DATABASE_URL": url} if url else {}))

    @property
    def url(self) -> str:
        return f"sqlite:///{self.data / 'events.db'}"

    def history(self, run: str) -> list[str]:
        found = self.ask("GET", "/api/flow_run_states/", params={"flow_run_id": run}).json()
        return [state["name"] for state in sorted(found, key=lambda state: str(state["timestamp"]))]

    def part(self, module: str) -> psutil.Process | None:
        """Its child that runs a module of one machine, such as `worker`; None while it has none."""
        for process in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if lives(process) and f"deployments.one_machine.{module}" in process.cmdline():
                    return process
        return None


@dataclass
class Fork:
    """One call of `do` in its own process."""

    pid: int
    answer: Path

    def ended(self) -> bool:
        return self.answer.exists() or not psutil.pid_exists(self.pid)

    def wait(self, seconds: float = 90) -> Any:
        """Wait for the end. Returns the result; for a run of the flow the outcome and its message."""
        wait_until(self.ended, seconds)
        assert self.answer.exists(), "it was killed"
        answer = json.loads(self.answer.read_text())
        wait_until(lambda: not psutil.pid_exists(self.pid))
        assert "died" not in answer, answer[1]
        return tuple(answer) if isinstance(answer, list) else answer

    def kill(self) -> bool:
        """Send SIGKILL. Returns True if the process had not ended before."""
        if self.ended():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(self.pid))
        return not self.answer.exists()


@dataclass
class Forks:
    """Starts processes that run `do` of a module in this directory without delay (see forks.py)."""

    process: subprocess.Popen[str]
    directory: Path
    made: list[Fork] = field(default_factory=list)

    @classmethod
    @contextmanager
    def of(cls, module: str, directory: Path, env: dict[str, str]) -> Iterator[Forks]:
        with (directory / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "forks.py"), f"torture.{module}"],
                env={**env, "PYTHONPATH": PATH},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=directory,
            )
        forks = cls(process, directory)
        with process:
            try:
                yield forks
            finally:
                process.kill()
                for fork in forks.made:
                    fork.kill()

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def call(self, **parameters: str) -> Fork:
        answer = self.directory / f"answer-{len(self.made)}"
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({**parameters, "to": str(answer)}) + "\n")
        self.process.stdin.flush()
        pid = self.process.stdout.readline()
        assert pid, self.log
        self.made.append(Fork(int(pid), answer))
        return self.made[-1]


@dataclass
class Runs:
    """Starts runs of the flow, each in its own process, with the server of `up`."""

    up: Up
    forks: Forks

    def start(self, name: str) -> Fork:
        return self.forks.call(name=name)

    def collect(self, name: str) -> tuple[str, str]:
        """Run the flow once. Returns the outcome and its message."""
        return tuple(self.start(name).wait())

    def patiently(self, run: Fork) -> tuple[str, str]:
        """Wait for its end, and move the clock whenever it waits for a retry. Returns the outcome and its message."""

        def ended() -> bool:
            self.up.clock.advance_to_next_wake()
            return run.ended()

        wait_until(ended)
        return tuple(run.wait())

    def save(self, name: str, url: str, sandbox: SandboxProcess, token: str | None = None) -> None:
        """Save the blocks of a source on the server of `up`."""
        source_id = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        source = {"url": url, "base_url": sandbox.base_url, "token": token or sandbox.token, "source_id": source_id}
        assert self.forks.call(name=name, **source).wait()[0] == "saved"
