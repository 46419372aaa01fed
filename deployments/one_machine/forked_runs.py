"""The worker's side of the fork server: starts it, replaces it if the code has changed, and forks runs from it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from blocks import python_process
from deployments import working_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
PACKAGES = ("blocks", "tasks", "flows", "deployments")
INTERPRETER_PREFIXES = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_", "LC_", "LANG")
"""Variables that a process reads only at its start. A run with other values of these is not forked."""
INHERITED_VARIABLES = ("PATH", "HOME", "USER", "TMPDIR", "TZ", "VIRTUAL_ENV", "PREFECT_HOME")
"""The other variables of the fork server. No secret is among them."""
UNKNOWN_CODE = 1


class ForkServerEndedError(Exception):
    """The fork server ended before it forked the run."""


class ForkedRun:
    """The process of a run."""

    def __init__(self, pid: int, code: asyncio.Future[int]) -> None:
        self.pid = pid
        self._code = code

    @property
    def has_ended(self) -> bool:
        return self._code.done()

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended the process."""
        return await asyncio.shield(self._code)

    async def stop(self, seconds: float) -> None:
        """Request a clean end, and kill the process if it has not ended within `seconds`."""
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), seconds)
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Process(Protocol):
    """The process of a fork server: a `Popen`, or a fork of this process."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def kill(self) -> None: ...

    def wait(self) -> int: ...


class ForkedProcess:
    """A child of this process that was not started with `subprocess`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        code = self._look(0)
        assert code is not None  # noqa: S101 - it has waited
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def _look(self, how: int) -> int | None:
        if self._code is None:
            try:
                pid, status = os.waitpid(self._pid, how)
            except ChildProcessError:
                pid, status = self._pid, 0
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


class ForkServerProcess:
    """One fork server, and the runs that it has forked."""

    def __init__(self, connection: socket.socket, process: Process) -> None:
        self.code = code_fingerprint()
        self._process = process
        self._socket = connection
        self._writer: asyncio.StreamWriter | None = None
        self._pids: dict[str, asyncio.Future[int]] = {}
        self._codes: dict[str, asyncio.Future[int]] = {}
        self._alive: dict[str, int] = {}
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    def started(cls) -> ForkServerProcess:
        """Start a fork server in a new process."""
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            python_process.command("deployments.one_machine.fork_server", str(theirs.fileno())),
            env=fork_server_environment(),
            cwd=working_directory.empty_directory(),  # Prefect's own command may start a worker in any directory
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        return cls(ours, process)

    @property
    def is_alive(self) -> bool:
        return not self.has_ended and (self._reading is None or not self._reading.done())

    @property
    def has_ended(self) -> bool:
        """Read it regularly, so that no zombie stays."""
        return self._process.poll() is not None

    async def fork(
        self, run: str, env: Mapping[str, str], cwd: Path, related: Sequence[Mapping[str, str]] = ()
    ) -> ForkedRun:
        """Start a run; for `related` see `related_objects`. Raises ForkServerEndedError if the server is gone."""
        writer = await self._connect()
        loop = asyncio.get_running_loop()
        self._pids[run], self._codes[run] = loop.create_future(), loop.create_future()
        try:
            request = {"run": run, "env": dict(env), "cwd": str(cwd), "related": list(related)}
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
        except OSError:
            self._pids.pop(run, None)
            self._codes.pop(run, None)
            raise ForkServerEndedError from None
        pid = await self._pids[run]
        return ForkedRun(pid, self._codes[run])

    def retire(self) -> None:
        """Let it end when its runs have ended."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.write(b'{"retire": true}\n')
        else:
            self._socket.close()

    def close(self) -> None:
        """End it now, with its runs."""
        if self._writer is not None:
            self._writer.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    async def _connect(self) -> asyncio.StreamWriter:
        # Of two transports on one socket the unused one would close it, and so end the fork server and its runs.
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._socket)
                self._reading = asyncio.get_running_loop().create_task(self._read(reader))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                self._note(json.loads(line))
        # A run that outlives its fork server would have no exit code and could not be stopped: it is killed.
        for run in list(self._codes):
            self._forget(run)

    def _note(self, message: dict[str, str | int]) -> None:
        run = str(message["run"])
        if "pid" in message:
            self._alive[run] = int(message["pid"])
            self._pids.pop(run).set_result(int(message["pid"]))
        else:
            self._alive.pop(run, None)
            self._codes.pop(run).set_result(int(message["code"]))

    def _forget(self, run: str) -> None:
        if (pid := self._pids.pop(run, None)) is not None and not pid.done():
            pid.set_exception(ForkServerEndedError())
        if (alive := self._alive.pop(run, None)) is not None:
            with suppress(ProcessLookupError):
                os.kill(alive, signal.SIGKILL)
        if (code := self._codes.pop(run, None)) is not None and not code.done():
            code.set_result(UNKNOWN_CODE)


class RunForker:
    """Forks runs from a fork server. It starts one on demand, and again if the code has changed or the server died."""

    def __init__(self, first: ForkServerProcess | None = None) -> None:
        self._current_server = first
        self._retired: list[ForkServerProcess] = []

    def warm(self) -> None:
        """Start the fork server now, so that it is ready for the first run."""
        self._current()

    async def fork(
        self, run: str, env: Mapping[str, str], cwd: Path, related: Sequence[Mapping[str, str]] = ()
    ) -> ForkedRun:
        """Start a run. Raises ForkServerEndedError if a new fork server has ended too."""
        try:
            return await self._current().fork(run, env, cwd, related)
        except ForkServerEndedError:
            return await self._current().fork(run, env, cwd, related)

    def close(self) -> None:
        for server in (self._current_server, *self._retired):
            if server is not None:
                server.close()

    def _current(self) -> ForkServerProcess:
        server = self._current_server
        if server is not None and server.is_alive and server.code == code_fingerprint():
            return server
        if server is not None:
            server.retire()
            self._retired.append(server)
        self._retired = [old for old in self._retired if not old.has_ended]
        self._current_server = ForkServerProcess.started()
        return self._current_server


def can_fork(env: Mapping[str, str]) -> bool:
    """True if a run with this environment may be forked: on Linux, with the interpreter settings of this process."""
    if not sys.platform.startswith("linux"):
        return False
    return _interpreter_settings(env) == _interpreter_settings(os.environ)


def code_fingerprint() -> tuple[tuple[str, int, int], ...]:
    """Changes if a file of this program changes, or another version of this program or of Prefect is installed."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    files += [Path(str(metadata.distribution(name).locate_file(""))) for name in ("prefect",)]
    found = []
    for path in files:
        with suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def fork_server_environment() -> dict[str, str]:
    """The variables that a fork server gets from this process. No secret is among them."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED_VARIABLES}
    return {**_interpreter_settings(os.environ), **kept}


def _interpreter_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(INTERPRETER_PREFIXES)}
