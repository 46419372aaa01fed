"""The warm fork_server: a process that has imported Prefect and the flows, and is forked for each run.

Imports are most of what a short run costs. The fork_server holds no thread, socket, database connection or secret: what
a run needs comes with the request, and is set after the fork. `python -m deployments.one_machine.fork_server FD` speaks
JSON lines over that socket with the worker that started it:

    worker: {"run": ID, "env": {…}, "cwd": PATH, "related": […]}  or {"retire": true}
    fork_server: {"run": ID, "pid": PID}, and when it has ended {"run": ID, "code": EXIT CODE}

A worker that is gone takes its runs with it: they get SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from typing import Any

ALONE_SECONDS = 10.0
"""How long runs may take to end in good order once their worker is gone."""
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BYTES = 65_536
LOOK_SECONDS = 60.0


class RunRequestedError(Exception):
    """Raised in the forked child, so that it leaves the fork_server's loop and frames before it becomes the run."""

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
        for number in ENDS:  # sent to the whole group; this process ends when its worker has, after its runs
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> None:
        """Until the worker is gone, or it has retired this fork_server and all runs have ended."""
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
        except ConnectionError:  # a worker that was killed had not read all that it was sent
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


def _import_all() -> None:
    import sqlite3  # noqa: F401, PLC0415 - as below, and what else a run would import

    import jwt  # noqa: F401, PLC0415
    import prefect.flow_engine  # noqa: PLC0415 - here, so that what starts the fork_server need not have it
    import prefect.runner  # noqa: PLC0415
    import prefect.task_engine  # noqa: PLC0415
    import prefect.utilities.visualization  # noqa: F401, PLC0415

    import flows.backfill  # noqa: PLC0415
    import flows.collect  # noqa: PLC0415
    import flows.forward  # noqa: PLC0415
    import flows.prune  # noqa: PLC0415
    import flows.reconcile  # noqa: F401, PLC0415


def _become_run(request: dict[str, Any]) -> None:
    """Be `python -m prefect.engine` with the environment of the request."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *ENDS):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])

    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - imported by the fork_server
    from prefect.logging.configuration import setup_logging  # noqa: PLC0415

    from deployments.one_machine.related_objects import cache_related  # noqa: PLC0415

    refresh_global_settings_context()
    setup_logging(incremental=False)
    cache_related(request.get("related", ()))
    gc.enable()
    sys.argv = ["prefect.engine"]
    sys.modules.pop("prefect.engine", None)  # runpy warns of a module that was imported before
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


def import_all() -> None:
    """Import what runs need, so that its pages stay shared with them: what lives for ever is not looked at again."""
    gc.disable()
    _import_all()
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
    _become_run(request)


def main() -> None:
    """Serve the worker at the other end of the socket whose descriptor is the argument."""
    worker = socket.socket(fileno=int(sys.argv[1]))
    import_all()
    serve(worker)


if __name__ == "__main__":
    main()
