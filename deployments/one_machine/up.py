"""Prefect on one machine: its database, its server with the UI, the deployments and their worker, until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from blocks import json_log, python_process, settings, unknown_settings
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store import run_signs_by_driver
from deployments.bounded_call import BoundedCall, call_until
from deployments.console.passwords import Passwords
from deployments.one_machine import json_log_filter, planned_runs, watchdog_setup, worker_runs
from deployments.one_machine.dead_mans_switch import DeadMansSwitch
from deployments.one_machine.processes import Child
from deployments.one_machine.systemd import Systemd
from deployments.one_machine.watchdog import PROBLEM, ClockSetBack, Restart, TerminalLine
from deployments.one_machine.worker_log_filter import WorkerLogFilter, line_level
from deployments.prefect_api import (
    database,
    local_files,
    restore_marker,
    server_access,
    server_secrets,
    server_settings,
    templates,
    up_lock,
)
from deployments.prefect_api.server_access import LOOPBACK_ONLY, ListenAddress
from deployments.rotating_log import RotatingLog
from deployments.service_log import ServiceLog, as_json, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deployments.one_machine.watchdog import Event

PREPARE = tuple(python_process.command("deployments.one_machine.prepare"))
START_SECONDS = 180.0
"""How long the server may take to start. On a slow machine the first start needs a minute for the database alone."""
PREPARE_SECONDS = 900.0
WORKER_SECONDS, SETTLE_SECONDS, SERVER_SECONDS, DATABASE_SECONDS = 14.0, 3.0, 3.0, 9.0
"""How long each part may take to stop, in this order: together less than 30 seconds, even if something hangs."""
HURRIED_SECONDS = 1.5
"""How long the server may take to record killed runs after a second stop request. Else the next `up` records them."""
POLL_SECONDS = 0.2
DATABASE_EVERY_SECONDS = 5.0
SERVER, WORKER = "Prefect server", "worker"
PLAIN_HTTP_WARNING = (
    "Warning: up listens on {host} in plain HTTP. Anyone on the network path can read the API password, and with it "
    "your 1Password tokens. Put a TLS proxy in front, on this machine: leave out --host, and set --public-url to the "
    "proxy's address. up answers only at these addresses: {names}"
)


class StopRequest:
    """Counts the stop requests of a person (Ctrl-C, SIGTERM, a closed terminal). The second one means: at once."""

    def __init__(self) -> None:
        self.times = 0

    @property
    def is_requested(self) -> bool:
        return self.times > 0

    @property
    def is_urged(self) -> bool:
        return self.times > 1

    def request(self, *_: object) -> None:
        self.times += 1


def up(
    log: ServiceLog | Callable[[str], None] = print,
    at: ListenAddress = LOOPBACK_ONLY,
    prepare: Sequence[str] = PREPARE,
) -> None:
    """Run Prefect on this machine until Ctrl-C, then stop it cleanly. Call it in the main thread.

    `prepare` is the command that creates the deployments as soon as the server answers. `log` gets every line for the
    terminal, also from other threads. Raises FirstPartyGenericError if an `up` runs already, the port is in use, or the
    server does not start.
    """
    settings.trusted_proxies()  # a wrong entry is refused here, and not in the server's log
    os.umask(0o077)
    say = log if isinstance(log, ServiceLog) else ServiceLog(log)
    with up_lock.hold(), _stop_on_signals() as stop:
        restore_marker.require_complete()
        _require_free_port(at)
        _activate_own_prefect(at, say)
        with contextlib.ExitStack() as stack:
            machine = Machine(at, stop, say)
            stack.callback(machine.stop)
            machine.start(prepare)
            machine.supervise()


class Machine:
    """Everything that `up` has started, from the first step to the last."""

    def __init__(self, at: ListenAddress, stop: StopRequest, say: ServiceLog) -> None:
        self._at = at
        self._stop = stop
        self._say = say
        # First of all: both remove their variables from the environment, which the children get.
        switch, self._systemd = DeadMansSwitch.from_environment(), Systemd.from_environment()
        self._watchdog = watchdog_setup.watchdog(_api_url(), heartbeat_path(), switch)
        self._database = contextlib.ExitStack()
        self._server_log = RotatingLog(server_log())
        self._worker_log = RotatingLog(worker_log())
        self._server = self._server_child()
        self._worker = self._worker_child()
        self._log_filter = WorkerLogFilter()
        self._settling = BoundedCall(lambda: worker_runs.end_crashed(_api_url(), SETTLE_SECONDS))
        self._planning = BoundedCall(lambda: planned_runs.remove_misplaced(_api_url(), START_SECONDS))
        self._database_due = 0.0

    def start(self, prepare: Sequence[str]) -> None:
        """Start the database, the server, the deployments, the worker. A stop request ends it between two steps."""
        self._say("Starting the Prefect server …", event="starting")
        steps: list[Callable[[], None]] = [
            self._start_database,
            self._start_server,
            self._settle_crashed,
            self._remove_misplaced,
            lambda: self._prepare(prepare),
            self._start_worker,
        ]
        for step in steps:
            if not self._stop.is_requested:
                step()

    def supervise(self) -> None:
        """Keep everything running until a stop is requested."""
        while not self._stop.is_requested:
            self._systemd.alive()
            self._keep_database()
            self._keep_running(self._server)
            self._keep_running(self._worker)
            for event in self._watchdog.drain_events():
                self._handle(event)
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop everything within 30 seconds, even if something hangs; at once after a second stop request."""
        self._systemd.stopping()
        self._watchdog.stop()
        if self._stop.is_requested:
            self._say("Stopping. Runs finish the current page; Ctrl-C again stops at once.", event="stopping")
        urged = lambda: self._stop.is_urged  # noqa: E731 - a name for three calls
        self._worker.stop(signal.SIGTERM, WORKER_SECONDS, urged)
        if self._server.pid is not None:
            seconds = HURRIED_SECONDS if self._stop.is_urged else SETTLE_SECONDS
            call_until(lambda: worker_runs.end_stopped(_api_url(), seconds), lambda: False, seconds)
        self._server.stop(signal.SIGTERM, SERVER_SECONDS, urged)
        self._database.close()
        call_until(
            database.wait_until_stopped, lambda: False, DATABASE_SECONDS
        )  # even after a second request: it takes a moment
        if self._stop.is_requested:
            self._say("Stopped.", event="stopped")

    def _start_database(self) -> None:
        if (warning := database.warning()) is not None:
            self._say(warning, level="warning")
        call_until(lambda: self._database.enter_context(database.running()), lambda: self._stop.is_requested)

    def _start_server(self) -> None:
        self._server.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._stop.is_requested:
                return
            if self._server.exit_code() is not None or time.monotonic() > deadline:
                raise FirstPartyGenericError(
                    f"The Prefect server did not start: {self._server_log.last_line() or 'no message'}",
                    hint=f"Its log is {server_log()}.",
                )
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        return bool(call_until(lambda: server_access.answers(_api_url()), lambda: self._stop.is_requested))

    def _settle_crashed(self) -> None:
        call_until(lambda: worker_runs.end_crashed(_api_url(), PREPARE_SECONDS), lambda: self._stop.is_requested)

    def _remove_misplaced(self) -> None:
        """The clock may have been set back since the last `up`."""
        remove = lambda: planned_runs.remove_misplaced(_api_url(), SETTLE_SECONDS)  # noqa: E731 - a name for a call
        call_until(remove, lambda: self._stop.is_requested, PREPARE_SECONDS)

    def _prepare(self, command: Sequence[str]) -> None:
        """Raises FirstPartyGenericError if it fails: without deployments there is nothing to run."""
        child = subprocess.Popen(
            [*command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        output = call_until(child.communicate, lambda: self._stop.is_requested, PREPARE_SECONDS)
        if output is None:
            child.kill()
            return
        lines = output[0].splitlines()
        for line in lines if child.returncode == 0 else lines[:-1]:
            self._say(line)
        if child.returncode:
            for line in output[1].splitlines():
                self._server_log.write(line)
            said = lines[-1:] or output[1].splitlines()[-1:] or ["no message"]
            raise FirstPartyGenericError(f"The deployments could not be made: {said[0]}", hint=f"See {server_log()}.")

    def _start_worker(self) -> None:
        self._worker.start()
        self._watchdog.started("server")
        self._watchdog.started("worker")
        self._watchdog.start()
        self._systemd.ready()
        up_lock.announce(_api_url())
        origin = self._at.public_url or self._at.origin
        self._say(f"Open {origin} (the console, and Prefect's pages)", event="ready", url=origin)
        self._say_login()
        if self._say.may_show_secrets:
            self._say("Stop with Ctrl-C.")

    def _say_login(self) -> None:
        if not self._say.may_show_secrets:
            path = server_secrets.secrets_path()
            self._say(f"Log in as {server_secrets.USER}. The password is api_password in {path}.", event="login")
            return
        secrets = server_secrets.load_secrets()
        self._say(f"Log in with {secrets.auth_string}")
        self._say(f"Viewers, who change nothing: viewer:{Passwords.derived(secrets.api_password).viewer}")

    def _keep_running(self, child: Child) -> None:
        if child.is_due():
            child.start()
            self._watchdog.started("server" if child is self._server else "worker")
        code = child.exit_code()
        if code is not None:
            self._start_again_later(child, f"ended (exit code {code})")

    def _keep_database(self) -> None:
        """Nothing else restarts the database after its supervisor was killed."""
        if time.monotonic() < self._database_due or not database.is_embedded():
            return
        self._database_due = time.monotonic() + DATABASE_EVERY_SECONDS
        if database.ensure_supervisor() is not None:
            text = "The supervisor of the Prefect server's database ended; it restarts."
            self._say(text, level="warning", event="restart", process="database")

    def _handle(self, event: Event) -> None:
        if isinstance(event, TerminalLine):
            level = "warning" if event.event == PROBLEM else None
            self._say(event.text, level=level, event=event.event, what=event.what)
            self._systemd.status(event.text)
        elif isinstance(event, ClockSetBack):
            self._plan_again()
        else:
            self._restart(event)

    def _plan_again(self) -> None:
        """The server's timers and planned runs follow the clock, so all of them lie far ahead now."""
        if self._server.pid is not None:
            self._start_again_later(self._server, "is stopped because the clock was set back")
        self._planning.start()

    def _restart(self, event: Restart) -> None:
        child = self._server if event.process == "server" else self._worker
        if child.pid is not None:
            self._start_again_later(child, f"is stopped: {event.why}")

    def _start_again_later(self, child: Child, what: str) -> None:
        child.kill()
        delay = child.postpone()
        text = f"The {child.name} {what}; it restarts in {delay:.0f} s."
        self._say(text, level="warning", event="restart", process=child.name)
        if child is self._worker:
            self._settling.start()

    def _server_child(self) -> Child:
        arguments = ["--host", self._at.host, "--port", str(settings.port()), "--console"]
        sources = run_signs_by_driver.count_sources(settings.database_url()) or 1
        retention = server_settings.retention(sources)
        environment = {**os.environ, **database.environment(), **retention, **self._log_settings("server")}
        module = "deployments.one_machine.guarded_server"
        return Child(SERVER, arguments, environment, self._note_of_server, module=module)

    def _worker_child(self) -> Child:
        arguments = [
            "--pool",
            templates.work_pool(),
            "--name",
            worker_runs.WORKER,
            "--heartbeat-file",
            str(heartbeat_path()),
        ]
        environment = {**os.environ, **_worker_environment(), **self._log_settings("worker")}
        module = "deployments.one_machine.worker"
        return Child(WORKER, arguments, environment, self._note, module=module, watches_parent=True)

    def _log_settings(self, part: str) -> dict[str, str]:
        return json_log.prefect_settings(part) if self._say.is_json else {}

    def _note_of_server(self, line: str) -> None:
        self._server_log.write(as_json(line, "server") if self._say.is_json else line)

    def _note(self, line: str) -> None:
        if self._say.is_json:
            self._note_json(line)
            return
        self._worker_log.write(line)
        for shown in self._log_filter.lines(line, time.monotonic()):
            self._say(shown, level=line_level(shown))

    def _note_json(self, line: str) -> None:
        self._worker_log.write(as_json(line, "worker"))
        members = parsed(line)
        if members is not None and json_log_filter.is_shown(members):
            self._say.relay(line, members)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[StopRequest]:
    stop = StopRequest()
    # Set even if a shell made this process ignore Ctrl-C: children inherit an ignored signal and would never stop.
    before = {number: signal.signal(number, stop.request) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_free_port(at: ListenAddress) -> None:
    port = settings.port()
    try:
        kind, _, _, _, address = socket.getaddrinfo(at.host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ThirdPartyConfigError(
                f"{at.host} is not an address of this machine.",
                hint="Set --host to one of its addresses, or leave it out.",
            ) from None
        raise FirstPartyGenericError(
            f"Port {port} is in use by another program.",
            hint=f"Stop that program, or set {settings.PREFIX}PORT to a free port.",
        ) from None


def _activate_own_prefect(at: ListenAddress, say: ServiceLog) -> None:
    os.environ.pop(settings.PREFIX + "API_TOKEN", None)
    settings.database_url()  # a reference to 1Password is read here, and not again in each child
    for warning in (*server_access.activate_server(at).warnings, *unknown_settings.sentences()):
        say(warning, level="warning")
    if not at.is_local:
        say(PLAIN_HTTP_WARNING.format(host=at.host, names=", ".join(at.origins)))


def _api_url() -> str:
    return os.environ["PREFECT_API_URL"]


def server_log() -> Path:
    """The log of the Prefect server of `up`."""
    return settings.data_dir() / "server.log"


def worker_log() -> Path:
    """The log of the worker of `up` and of its runs."""
    return settings.data_dir() / "worker.log"


def heartbeat_path() -> Path:
    """The file that the worker touches after each poll that the server has answered."""
    return local_files.prefect_home() / "worker-beat"


def _worker_environment() -> dict[str, str]:
    return {
        "TMPDIR": str(_empty_temporary_directory()),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        **server_settings.RUNS,
        # As in prefect.yaml, for runs of deployments that were not made from it.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_LEVEL": "INFO",  # the runs' own logs, which the UI shows
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": "%(asctime)s %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(asctime)s | %(flow_run_name)s: %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(asctime)s %(levelname)s %(task_run_name)s: %(message)s",
    }


def _empty_temporary_directory() -> Path:
    # A killed run leaves its working directory behind; the next `up` removes it here.
    path = local_files.prefect_home() / "tmp"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path
