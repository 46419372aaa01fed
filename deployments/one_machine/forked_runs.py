"""The worker's end of the warm template: has one, replaces it if the code has changed, and forks runs from it."""

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
"""What a process reads only as it starts: a run that wants another value of these is not forked."""
INHERITED_VARIABLES = ("PATH", "HOME", "USER", "TMPDIR", "TZ", "VIRTUAL_ENV", "PREFECT_HOME")
"""What the template has beside those. No secret is among them."""
UNKNOWN_CODE = 1


class ForkServerEndedError(Exception):
    """The template ended before it had forked the run."""


class ForkedRun:
    """A run's process."""

    def __init__(self, pid: int, code: asyncio.Future[int]) -> None:
        self.pid = pid
        self._code = code

    @property
    def has_ended(self) -> bool:
        return self._code.done()

    async def wait(self) -> int:
        """Its exit code; minus the signal's number if one ended it."""
        return await asyncio.shield(self._code)

    async def stop(self, seconds: float) -> None:
        """Have it end in good order, and kill it if it has not after so many seconds."""
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), seconds)
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, while it runs."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Process(Protocol):
    """The process of a template: a `Popen`, or one that this process has forked."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

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
    """One template process, and the runs that were forked from it."""

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
        """One in a process of its own from the start."""
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            python_process.command("deployments.one_machine.fork_server", str(theirs.fileno())),
            env=fork_server_environment(),
            cwd=working_directory.empty_directory(),  # a worker that Prefect's own command has started is anywhere
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
        """To be read regularly, so that no zombie stays."""
        return self._process.poll() is not None

    async def fork(
        self, run: str, env: Mapping[str, str], cwd: Path, related: Sequence[Mapping[str, str]] = ()
    ) -> ForkedRun:
        """Start the run; `related`: see `related_objects`. TemplateEndedError if the template is gone."""
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
        """Have it end when its runs have."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.write(b'{"retire": true}\n')
        else:
            self._socket.close()

    def close(self) -> None:
        """Have it end now, with its runs."""
        if self._writer is not None:
            self._writer.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    async def _connect(self) -> asyncio.StreamWriter:
        # Of two transports on one socket the forgotten one would close it, and so end the template and its runs.
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._socket)
                self._reading = asyncio.get_running_loop().create_task(self._read(reader))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                self._note(json.loads(line))
        # Nothing can say how a run ends that outlives its template, and nothing would end it: it is killed.
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
    """Forks runs from a template that is made when it is needed, and again when the code has changed or it has died."""

    def __init__(self, first: ForkServerProcess | None = None) -> None:
        self._template = first
        self._retired: list[ForkServerProcess] = []

    def warm(self) -> None:
        """Start the template now, so that the first run finds it ready."""
        self._current()

    async def fork(
        self, run: str, env: Mapping[str, str], cwd: Path, related: Sequence[Mapping[str, str]] = ()
    ) -> ForkedRun:
        """Start a run. TemplateEndedError if a new template has ended, too."""
        try:
            return await self._current().fork(run, env, cwd, related)
        except ForkServerEndedError:
            return await self._current().fork(run, env, cwd, related)

    def close(self) -> None:
        for template in (self._template, *self._retired):
            if template is not None:
                template.close()

    def _current(self) -> ForkServerProcess:
        template = self._template
        if template is not None and template.is_alive and template.code == code_fingerprint():
            return template
        if template is not None:
            template.retire()
            self._retired.append(template)
        self._retired = [old for old in self._retired if not old.has_ended]
        self._template = ForkServerProcess.started()
        return self._template


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a run with this environment may be forked: on this platform, and by what it asks of the interpreter."""
    if not sys.platform.startswith("linux"):
        return False
    return _interpreter_settings(env) == _interpreter_settings(os.environ)


def code_fingerprint() -> tuple[tuple[str, int, int], ...]:
    """Changes whenever a file of this program does, or another version of it or of Prefect is installed."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    files += [Path(str(metadata.distribution(name).locate_file(""))) for name in ("prefect",)]
    found = []
    for path in files:
        with suppress(OSError):
            status = path.stat()
            found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def fork_server_environment() -> dict[str, str]:
    """What a template has of this process's environment: no secret is in it."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED_VARIABLES}
    return {**_interpreter_settings(os.environ), **kept}


def _interpreter_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(INTERPRETER_PREFIXES)}
