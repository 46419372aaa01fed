"""The fork server: a process that has imported Prefect and the flows, and forks itself for each run.

Imports are most of the cost of a short run. The fork server holds no thread, socket, database connection or secret:
what a run needs comes with the request, and is set after the fork. `python -m deployments.one_machine.fork_server FD`
exchanges JSON lines over that socket with the worker that has started it:

    worker: {"run": ID, "env": {…}, "cwd": PATH, "related": […]}  or {"retire": true}
    server: {"run": ID, "pid": PID}, and when it has ended {"run": ID, "code": EXIT CODE}

If the worker is gone, its runs end too: they get SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from importlib import import_module
from typing import Any

ALONE_SECONDS = 10.0
"""How long runs may take for a clean end once their worker is gone."""
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BYTES = 65_536
LOOK_SECONDS = 60.0
RUN_PROCESS = "deployments.one_machine.run_process"
"""Imports Prefect and the flows, so it must not be imported before `import_all`."""


class RunRequestedError(Exception):
    """Raised in the forked child: it leaves the loop and frames of the fork server before it becomes the run."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__("fork")
        self.request = request


class ForkServer:
    """Forks on request, and reports how each run ended."""

    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._runs: dict[int, str] = {}
        self._received = b""
        self._retired = False
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in ENDS:  # sent to the whole group; this process ends after its worker and its runs
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> None:
        """Serve until the worker is gone, or it has retired this fork server and all runs have ended."""
        while not (self._retired and not self._runs):
            ready, _, _ = select.select([self._worker.fileno(), self._wake], [], [], LOOK_SECONDS)
            if self._wake in ready:
                os.read(self._wake, BYTES)
            self._reap()
            if self._worker.fileno() in ready and not self._receive():
                self._end_runs()
                return

    def _receive(self) -> bool:
        try:
            data = self._worker.recv(BYTES)
        except ConnectionError:  # a killed worker has left data unread
            return False
        self._received += data
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            self._handle(json.loads(line))
        return bool(data)

    def _handle(self, request: dict[str, Any]) -> None:
        if request.get("retire"):
            self._retired = True
            return
        pid = os.fork()
        if pid == 0:
            raise RunRequestedError(request)
        self._runs[pid] = request["run"]
        self._send({"run": request["run"], "pid": pid})

    def _reap(self) -> None:
        while self._runs:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (run := self._runs.pop(pid, None)) is not None:
                self._send({"run": run, "code": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the worker is gone, which the next read shows
            self._worker.sendall(json.dumps(message).encode() + b"\n")

    def _end_runs(self) -> None:
        deadline = time.monotonic() + ALONE_SECONDS
        self._signal(signal.SIGTERM)
        while self._runs and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._runs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def import_all() -> None:
    """Import what runs need, and freeze it: the garbage collector then leaves these pages shared with the runs."""
    gc.disable()
    import_module(RUN_PROCESS)
    gc.collect()
    gc.freeze()


def serve(worker: socket.socket) -> None:
    """Serve the worker at the other end until it is gone. In a forked child this call is the run."""
    try:
        ForkServer(worker).serve()
    except RunRequestedError as requested:
        request = requested.request
    else:
        return
    worker.close()
    import_module(RUN_PROCESS).become_run(request)


def main() -> None:
    """Serve the worker at the other end of the socket whose descriptor is the argument."""
    worker = socket.socket(fileno=int(sys.argv[1]))
    import_all()
    serve(worker)


if __name__ == "__main__":
    main()
