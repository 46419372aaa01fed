"""The worker of this project: takes scheduled runs from the work pool, and forks each from a fork server.

It is a Prefect worker like any other (`prefect worker start --pool onepassword-source --type onepassword-source`), and
`up` starts one. Each run has its own process, which can be killed, cancelled and watched separately.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.abc
import httpx
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.context import refresh_global_settings_context
from prefect.exceptions import PrefectException
from prefect.logging.configuration import setup_logging
from prefect.states import Cancelled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from blocks import python_process
from deployments.one_machine import fork_server, processes
from deployments.one_machine.browser_isolation import LOGO
from deployments.one_machine.forked_runs import (
    ForkedProcess,
    ForkedRun,
    ForkServerProcess,
    RunForker,
    can_fork,
    fork_server_environment,
)
from deployments.one_machine.related_objects import related_objects
from deployments.one_machine.run_limit import runs_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

TYPE = "onepassword-source"
RUNS_SECONDS = 12.0
"""How long runs get to finish the current page before their processes are killed, which loses nothing either."""
CANCEL_LOOK_SECONDS, CANCEL_SECONDS = 5.0, 30.0
"""How often it checks for cancelled runs, and how long such a run may take to end."""
LATE_SECONDS = 60.0
"""A run that begins later than this may have been overtaken by a newer run of its schedule."""
NEWER_MAX = 50
OUTAGE = 500
"""HTTP statuses from this one on are the server's own, temporary failures."""
STARTING_SECONDS = 20.0
"""How long a run counts as starting. At most twice as many runs as the machine has processors start at once."""
ENTRYPOINT = "PREFECT__FLOW_ENTRYPOINT"
"""The variable in which Prefect's runner passes the entrypoint to its engine."""
SUPERSEDED = "Skipped: A newer run of the same schedule is due already; it collects the same events."


class SourceJobConfiguration(ProcessJobConfiguration):
    """The configuration of a run's process. It holds the entrypoint, so that the run need not read its deployment."""

    def prepare_for_flow_run(self, flow_run: FlowRun, deployment: Any = None, *arguments: Any, **named: Any) -> None:
        """As the base class. Only an installed module is imported without the deployment's own steps."""
        super().prepare_for_flow_run(flow_run, deployment, *arguments, **named)
        entrypoint = getattr(deployment, "entrypoint", None)
        if entrypoint and ":" not in entrypoint and not deployment.pull_steps:
            self.env[ENTRYPOINT] = entrypoint


class SourceWorker(ProcessWorker):
    """Runs each flow run in a process of its own, which is forked if possible."""

    type = TYPE
    job_configuration = SourceJobConfiguration
    _display_name = "1Password Source"
    _description = "Runs the flows of the 1Password Source in processes that start within a fraction of a second."
    _logo_url = LOGO
    _documentation_url = ""

    def __init__(
        self,
        *arguments: Any,
        heartbeat_file: Path | None = None,
        fork_server_process: ForkServerProcess | None = None,
        **options: Any,
    ) -> None:
        """Start idle.

        `heartbeat_file` is touched after each poll that the server has answered; `fork_server_process` is a fork server
        that runs already.
        """
        super().__init__(*arguments, **options)
        # A run starts when it is due. By default Prefect takes it ten seconds earlier, and its process would wait.
        self._prefetch_seconds = 0.0
        self._heartbeat_file = heartbeat_file
        self._warm = RunForker(fork_server_process)
        self._running: dict[UUID, ForkedRun] = {}
        self._starting = asyncio.Semaphore(2 * (os.cpu_count() or 1))
        self._watching: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_cut_off = False

    async def setup(self) -> None:
        if sys.platform.startswith("linux"):
            self._warm.warm()
        await super().setup()

    async def teardown(self, *exc_info: Any) -> None:
        await self.stop_runs()
        await super().teardown(*exc_info)
        self._warm.close()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take the runs that are due, unless the worker is to stop."""
        if self._is_stopping:
            return []
        with self._surviving_outage():
            submitted = await super().get_and_submit_flow_runs()
            if self._heartbeat_file is not None:
                with suppress(OSError):
                    self._heartbeat_file.touch(mode=0o600)
            return submitted
        # Prefect's health check finds out whether the worker hangs. A worker that waits for the server does not.
        self._last_polled_time = datetime.now(UTC)
        return []

    async def sync_with_backend(self) -> None:
        """Send a heartbeat, and read changes of the work pool."""
        with self._surviving_outage():
            await super().sync_with_backend()

    @contextmanager
    def _surviving_outage(self) -> Iterator[None]:
        """Survive an outage of the server: Prefect's loops would end the worker after a few failures in a row."""
        try:
            yield
        except httpx.HTTPError as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < OUTAGE:
                raise
            self._note_outage(type(error).__name__)
        else:
            self._note_outage(None)

    def _note_outage(self, error: str | None) -> None:
        if error is not None and not self._is_cut_off:
            self._logger.warning("The Prefect server does not answer (%s). The worker waits until it does.", error)
        if error is None and self._is_cut_off:
            self._logger.warning("The Prefect server answers again.")
        self._is_cut_off = error is not None

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run to the end of its process."""
        status: anyio.abc.TaskStatus[int] = task_status or anyio.TASK_STATUS_IGNORED
        if await self._is_superseded(flow_run):
            status.started(os.getpid())
            return ProcessWorkerResult(status_code=0, identifier="superseded")
        env = {name: value for name, value in (configuration.env or {}).items() if value is not None}
        if configuration.working_dir or _has_own_command(configuration) or not can_fork(env):
            return await super().run(flow_run, configuration, task_status)
        return await self._run_forked(flow_run, env, status)

    async def _run_forked(
        self, flow_run: FlowRun, env: dict[str, str], status: anyio.abc.TaskStatus[int]
    ) -> ProcessWorkerResult:
        async with self._starting:
            if self._is_stopping:  # it waited for its turn, and the runs that end now have made room
                status.started(os.getpid())
                return ProcessWorkerResult(status_code=0, identifier="not started")
            related = related_objects(flow_run, env)
            run = await self._warm.fork(str(flow_run.id), env, _empty_directory(), related)
            self._running[flow_run.id] = run
            if self._is_stopping:
                run.signal(signal.SIGTERM)
            status.started(run.pid)
            self._watch_cancellations()
            with anyio.move_on_after(STARTING_SECONDS):
                await run.wait()
        try:
            code = await run.wait()
        finally:
            run.signal(signal.SIGKILL)
            self._running.pop(flow_run.id, None)
        return ProcessWorkerResult(status_code=code, identifier=str(run.pid))

    async def stop_runs(self) -> None:
        """Take no more runs, and end all runs: first cleanly, then by force."""
        self._is_stopping = True
        for run in self._running.values():
            run.signal(signal.SIGTERM)
        ended: list[ForkedRun] = []
        with anyio.move_on_after(RUNS_SECONDS):
            # A run whose process was just being forked joins them meanwhile.
            while left := [run for run in self._running.values() if run not in ended]:
                await left[0].wait()
                ended.append(left[0])
        for run in self._running.values():
            run.signal(signal.SIGKILL)

    async def _is_superseded(self, flow_run: FlowRun) -> bool:
        """True if a scheduled run is so late that the next one is due: after a stall each source runs once."""
        due, now = flow_run.expected_start_time, datetime.now(UTC)
        if not flow_run.auto_scheduled or due is None or (now - due).total_seconds() < LATE_SECONDS:
            return False
        with suppress(httpx.HTTPError, PrefectException):
            newer = await self.client.read_flow_runs(
                flow_run_filter=filters.FlowRunFilter(
                    deployment_id=filters.FlowRunFilterDeploymentId(any_=[flow_run.deployment_id]),
                    state=filters.FlowRunFilterState(
                        type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING])
                    ),
                    expected_start_time=filters.FlowRunFilterExpectedStartTime(
                        after_=due + timedelta(seconds=1), before_=now
                    ),
                ),
                limit=NEWER_MAX,
            )
            # Only another run of the schedule does the same work. A person's run may have other parameters.
            if not any(run.auto_scheduled for run in newer):
                return False
            await self.client.set_flow_run_state(flow_run.id, Cancelled(message=SUPERSEDED))
            return True
        return False

    def _watch_cancellations(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._stop_cancelled_runs())

    async def _stop_cancelled_runs(self) -> None:
        """Check all runs with one request, as long as there are any. Short runs are over before the first check."""
        ending: set[UUID] = set()
        while self._running:
            await anyio.sleep(CANCEL_LOOK_SECONDS)
            for number in await self._cancelling(self._running.keys() - ending):
                ending.add(number)
                asyncio.get_running_loop().create_task(self._cancel(number, self._running[number]))

    async def _cancelling(self, numbers: set[UUID]) -> list[UUID]:
        if not numbers:
            return []
        wanted = filters.FlowRunFilter(
            id=filters.FlowRunFilterId(any_=list(numbers)),
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.CANCELLING])),
        )
        with suppress(httpx.HTTPError, PrefectException):
            found = await self.client.read_flow_runs(flow_run_filter=wanted, limit=200)
            return [run.id for run in found if run.id in self._running]
        return []

    async def _cancel(self, number: UUID, run: ForkedRun) -> None:
        await run.stop(CANCEL_SECONDS)
        with suppress(httpx.HTTPError, PrefectException):
            # Rejected if the run has set its final state itself, as it does if it can.
            await self.client.set_flow_run_state(number, Cancelled(message="Cancelled by a person."))

    async def kill_infrastructure(
        self,
        infrastructure_pid: str,
        configuration: ProcessJobConfiguration,  # noqa: ARG002 - the base class calls it by name
        grace_seconds: int = 30,
    ) -> None:
        """End a run that is cancelled while it starts."""
        run = next((run for run in self._running.values() if str(run.pid) == infrastructure_pid), None)
        if run is not None:
            await run.stop(grace_seconds)


def _has_own_command(configuration: ProcessJobConfiguration) -> bool:
    return not (configuration.command or "").endswith("-m prefect.engine")


_directories: list[tempfile.TemporaryDirectory[str]] = []


def _empty_directory() -> Path:
    """The working directory of all runs. It is empty, so that no foreign file is imported."""
    if not _directories:
        _directories.append(tempfile.TemporaryDirectory(prefix="onepassword-source-"))
    return Path(_directories[0].name)


async def serve(worker: SourceWorker) -> None:
    """Run the worker until SIGTERM or SIGINT, then end its runs and the worker."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.get_running_loop().create_task(worker.start())
    stopping = asyncio.get_running_loop().create_task(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        await worker.stop_runs()
        working.cancel()
    with suppress(asyncio.CancelledError):
        await working


def main() -> None:
    """Take runs of a pool until SIGTERM or SIGINT."""
    os.umask(0o077)
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--heartbeat-file", type=Path)
    parser.add_argument("--environment", type=int, help="the descriptor of a file with the worker's environment")
    options = parser.parse_args()
    fork_server_process = _start_fork_server(options.environment) if sys.platform.startswith("linux") else None
    processes.end_with_parent()
    asyncio.run(_main(options, fork_server_process))
    # Prefect's threads that wait for a server must not keep a stopped worker alive.
    if threading.active_count() > 1:
        sys.stdout.flush()
        os._exit(0)


async def _main(options: argparse.Namespace, fork_server_process: ForkServerProcess | None) -> None:
    limit = runs_at_once()
    worker = SourceWorker(
        work_pool_name=options.pool,
        name=options.name,
        limit=limit,
        heartbeat_file=options.heartbeat_file,
        fork_server_process=fork_server_process,
    )
    await serve(worker)


def _start_fork_server(environment: int | None) -> ForkServerProcess:
    """Fork a fork server that shares its memory with this worker: both have imported the same.

    It must not have the worker's secrets, which are in the environment of this process. So the worker starts again
    without them, forks the fork server, and only then reads its own environment.
    """
    if environment is None:
        _exec_without_secrets()
    fork_server.import_all()
    ours, theirs = socket.socketpair()
    if (pid := os.fork()) == 0:
        ours.close()
        os.close(environment or 0)
        _serve_forks(theirs)
    theirs.close()
    _read_environment(environment or 0)
    gc.enable()
    return ForkServerProcess(ours, ForkedProcess(pid))


def _exec_without_secrets() -> NoReturn:
    kept = os.memfd_create("environment", 0)  # inherited
    os.write(kept, json.dumps(dict(os.environ)).encode())
    os.lseek(kept, 0, os.SEEK_SET)
    command = python_process.command("deployments.one_machine.worker", *sys.argv[1:], "--environment", str(kept))
    os.execve(sys.executable, command, fork_server_environment())  # noqa: S606 - a fixed list


def _serve_forks(worker: socket.socket) -> NoReturn:
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    fork_server.serve(worker)
    sys.exit(0)


def _read_environment(descriptor: int) -> None:
    with open(descriptor, "rb") as file:
        os.environ.update(json.load(file))
    refresh_global_settings_context()
    setup_logging(incremental=False)


if __name__ == "__main__":
    main()
