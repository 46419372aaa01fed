"""The fork server: what it holds, how its runs end, and when it is replaced."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.one_machine import lives, wait_until

from deployments.one_machine import forked_runs
from deployments.one_machine.forked_runs import ForkServerEndedError, RunForker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterator

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs are forked on Linux alone"),
]

SECRETS = {
    "PREFECT_API_AUTH_STRING": "admin:secret-1",
    "PREFECT_SERVER_ENCRYPTION_KEY": "secret-2",
    "ONEPASSWORD_SOURCE_DATABASE_URL": "postgresql://user:secret-3@db/events",
    "ONEPASSWORD_SOURCE_API_TOKEN": "secret-4",
}
# Stands where `prefect.engine` is looked for first, and does what the environment says instead of running a flow.
ENGINE = """
import json, os, pathlib, sys, threading, time
pathlib.Path(os.environ["SEEN"]).write_text(json.dumps({
    "pid": os.getpid(), "cwd": os.getcwd(), "environ": dict(os.environ), "threads": threading.active_count(),
    "prefect": "prefect" in sys.modules, "flows": "flows.collect" in sys.modules,
    "url": __import__("prefect").settings.PREFECT_API_URL.value(),
    "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{fd}")),
}))
do = os.environ.get("DO", "end")
if do == "wait":
    time.sleep(600)
sys.exit(int(do) if do.isdigit() else 0)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork_server runs a stand-in for the engine."""
    site = tmp_path / "site"
    site.mkdir()
    hook = (
        "import os, sys, importlib.util, importlib.abc\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'prefect.engine' and 'SEEN' in os.environ:  # in a run, and not in the fork_server\n"
        f"            return importlib.util.spec_from_file_location(name, {str(tmp_path / 'engine.py')!r})\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    (site / "sitecustomize.py").write_text(hook)
    (tmp_path / "engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


class Warm:
    """Warm runs, used from a test that is not asynchronous."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs = RunForker()
        self._loop = asyncio.new_event_loop()
        self._count = 0

    def wait_for(self, step: Coroutine[Any, Any, Any] | Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(step, 120))

    def fork(self, **env: str) -> tuple[forked_runs.ForkedRun, Path]:
        self._count += 1
        environment_file = self.directory / f"seen-{self._count}"
        full = {"PATH": os.environ["PATH"], "SEEN": str(environment_file), **env}
        run = self.wait_for(self.runs.fork(str(self._count), full, self.directory))
        wait_until(lambda: environment_file.exists() and environment_file.read_text().endswith("}"))
        return run, environment_file

    @property
    def fork_server(self) -> psutil.Process:
        assert self.runs._current_server
        return psutil.Process(self.runs._current_server._process.pid)  # type: ignore[attr-defined]

    def close(self) -> None:
        self.runs.close()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()


@pytest.fixture
def warm(tmp_path: Path, stand_in: None) -> Iterator[Warm]:
    started = Warm(tmp_path)
    yield started
    started.close()


def test_several_runs_at_once_are_the_first_of_a_template(warm: Warm) -> None:
    async def fork_all() -> list[forked_runs.ForkedRun]:
        env = {"PATH": os.environ["PATH"], "SEEN": str(warm.directory / "seen")}
        return await asyncio.gather(*(warm.runs.fork(f"run {n}", env, warm.directory) for n in range(4)))

    runs = warm.wait_for(fork_all())
    gc.collect()  # nothing closes the socket of an object without references
    assert [warm.wait_for(run.wait()) for run in runs] == [0] * 4


def test_a_run_has_all_imports_and_its_own_environment_and_directory(warm: Warm) -> None:
    run, environment_file = warm.fork(PREFECT_API_URL="http://127.0.0.1:1/api", TOKEN="of the run")
    assert warm.wait_for(run.wait()) == 0
    observed = json.loads(environment_file.read_text())
    assert observed["pid"] == run.pid
    assert (observed["prefect"], observed["flows"]) == (True, True)
    assert observed["url"] == "http://127.0.0.1:1/api", "Prefect's settings are those of the run"
    assert observed["cwd"] == str(warm.directory)
    assert observed["environ"]["TOKEN"] == "of the run"
    assert observed["threads"] == 1
    assert [name for name in observed["files"] if name.startswith("socket:")] == [], (
        "the worker's socket is not the run's"
    )


def test_the_template_holds_no_thread_socket_or_secret(warm: Warm) -> None:
    run, _ = warm.fork()
    warm.wait_for(run.wait())
    fork_server = warm.fork_server
    assert fork_server.num_threads() == 1
    assert fork_server.net_connections("all")[1:] == [], "but the one to its worker"
    environment = Path(f"/proc/{fork_server.pid}/environ").read_text() + " ".join(fork_server.cmdline())
    assert [secret for secret in SECRETS.values() if secret in environment] == []
    assert not set(SECRETS) & set(fork_server.environ())


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_runs(warm: Warm, code: int) -> None:
    run, _ = warm.fork(DO=str(code))
    assert warm.wait_for(run.wait()) == code


def test_a_run_that_is_killed_says_by_which_signal(warm: Warm) -> None:
    run, _ = warm.fork(DO="wait")
    assert not run.has_ended
    run.signal(signal.SIGKILL)
    assert warm.wait_for(run.wait()) == -signal.SIGKILL
    run.signal(signal.SIGKILL)  # one that has ended is left alone: its number may be another's


def test_a_template_that_is_killed_takes_its_runs_along_and_is_made_again(warm: Warm) -> None:
    run, _ = warm.fork(DO="wait")
    process, fork_server = psutil.Process(run.pid), warm.fork_server
    fork_server.kill()
    assert warm.wait_for(run.wait()) == forked_runs.UNKNOWN_CODE
    wait_until(lambda: not lives(process))
    again, _ = warm.fork()
    assert warm.wait_for(again.wait()) == 0
    assert warm.fork_server.pid != fork_server.pid


def test_changed_code_makes_another_template_and_the_runs_of_the_old_one_go_on(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_run, _ = warm.fork(DO="wait")
    old = warm.fork_server
    monkeypatch.setattr(forked_runs, "code_fingerprint", lambda: (("changed.py", 1, 1),))
    new_run, _ = warm.fork()
    assert warm.fork_server.pid != old.pid
    assert warm.wait_for(new_run.wait()) == 0
    assert not old_run.has_ended
    old_run.signal(signal.SIGTERM)
    assert warm.wait_for(old_run.wait()) == -signal.SIGTERM
    wait_until(lambda: warm.runs._retired[0].has_ended)


def test_a_template_that_cannot_start_is_an_error_and_no_wait_for_ever(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked_runs, "fork_server_environment", lambda: {"PYTHONHOME": "/nowhere"})
    with pytest.raises(ForkServerEndedError):
        warm.wait_for(warm.runs.fork("1", {}, warm.directory))


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("has_read", [True, False], ids=["that has read all", "that had more to read"])
def test_the_runs_of_a_worker_that_is_killed_end(tmp_path: Path, has_read: bool) -> None:
    ours, theirs = socket.socketpair()
    fork_server = subprocess.Popen(
        [sys.executable, "-P", "-m", "deployments.one_machine.fork_server", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=forked_runs.fork_server_environment(),
    )
    theirs.close()
    env = {"PATH": os.environ["PATH"], "SEEN": str(tmp_path / "seen"), "DO": "wait"}
    ours.sendall(json.dumps({"run": "1", "env": env, "cwd": str(tmp_path)}).encode() + b"\n")
    run = psutil.Process(json.loads(ours.recv(1000))["pid"])
    wait_until((tmp_path / "seen").exists)
    for number in (signal.SIGTERM, signal.SIGINT):  # as the whole group gets them; the fork_server waits for its runs
        fork_server.send_signal(number)
    assert fork_server.poll() is None
    if not has_read:  # closing then resets the connection, and does not end it
        second = {**env, "SEEN": str(tmp_path / "second")}
        ours.sendall(json.dumps({"run": "2", "env": second, "cwd": str(tmp_path)}).encode() + b"\n")
        wait_until((tmp_path / "second").exists)
    ours.close()
    assert fork_server.wait(60) == 0
    wait_until(lambda: not lives(run))
