"""Prefect on one machine: its server with the UI, a work pool, the deployments and their worker, until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import time
from typing import IO, TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments import deploy, own_secrets, prefect_access, prefect_settings, runs
from deployments.prefect_access import LOCAL, Door
from deployments.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient

START_SECONDS = 180.0
"""How long the server may take to start; on a slow machine the first start makes the database for a minute."""
RUNS_SECONDS = 15.0
"""How long runs get to finish the page in hand before their processes are killed, which loses nothing either."""
WORKER_SECONDS, SERVER_SECONDS = 5.0, 10.0
LOG_BYTES = 5_000_000
POLL_SECONDS = 0.2
SETTLE_TIMES = 3
"""How often a busy server is asked to settle runs; what is left then, the next `up` settles."""
SERVER, WORKER = "Prefect server", "worker"
RISK = (
    "Warning: up listens on {host} in plain HTTP. Whoever listens on the way reads the API password, and with it can "
    "read your 1Password tokens. Put TLS in front, on this machine: leave out --host, and give the proxy's address "
    "to --public-url. It answers at these addresses alone: {names}"
)

# Of all that the worker and its runs log, the terminal shows a line for each run that ended, and the warnings.
_ENDED = re.compile(
    r"""^(?P<time>\S+) \| (?P<run>.*): Finished in state (?P<state>\w+)\((?P<quote>['"])(?P<text>.*)(?P=quote)"""
)
_SHOWN = re.compile(r"^Worker .* (started|stopped)!|^\S+ WARNING ")


class Stop:
    """Whether a person asked to stop (Ctrl-C, SIGTERM, a closed terminal), and asked again: at once."""

    def __init__(self) -> None:
        self.times = 0

    @property
    def asked(self) -> bool:
        return self.times > 0

    @property
    def urged(self) -> bool:
        return self.times > 1

    def ask(self, *_: object) -> None:
        self.times += 1


def up(deploy_sources: Callable[[], None], say: Callable[[str], None] = print, at: Door = LOCAL) -> None:
    """Run Prefect on this machine until Ctrl-C, then stop it cleanly. To be called in the main thread.

    `deploy_sources` is called when the server answers and Prefect may be imported; `say` gets every line for the
    terminal, from other threads too. FirstPartyGenericError where an `up` is running already, the port is in use,
    or the server does not start.
    """
    os.umask(0o077)
    logs = _open(server_log()), _open(worker_log())
    with prefect_access.hold_up(), _stop_on_signals() as stop, logs[0] as log, logs[1] as runs_log:
        _require_free_port(at)
        _use_own_prefect(at, say)
        server, worker = _children(at, log, runs_log, say)
        try:
            _start(at, (server, worker), deploy_sources, stop, say)
            while not stop.asked:
                _keep_alive(server, say)
                _keep_alive(worker, say)
                time.sleep(POLL_SECONDS)
        finally:
            _stop(server, worker, stop, say)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[Stop]:
    stop = Stop()
    # Set here, even where a shell had us ignore Ctrl-C: children inherit an ignored signal, and never stop.
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_free_port(at: Door) -> None:
    port = settings.port()
    try:
        kind, _, _, _, address = socket.getaddrinfo(at.host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ThirdPartyConfigError(
                f"{at.host} is no address of this machine.", hint="Give one of its own to --host, or leave it out."
            ) from None
        raise FirstPartyGenericError(
            f"Port {port} is in use by another program.",
            hint=f"Stop that program, or set {settings.PREFIX}PORT to a free port.",
        ) from None


def _use_own_prefect(at: Door, say: Callable[[str], None]) -> None:
    os.environ.pop(settings.PREFIX + "API_TOKEN", None)
    for warning in prefect_access.activate_for(at).warnings:
        say(warning)
    if not at.is_local:
        say(RISK.format(host=at.host, names=", ".join(at.origins)))


def _api_url() -> str:
    return os.environ["PREFECT_API_URL"]


def server_log() -> Path:
    """What the Prefect server of `up` has to say."""
    return settings.data_dir() / "server.log"


def worker_log() -> Path:
    """What its worker, and the runs that it starts, have to say."""
    return settings.data_dir() / "worker.log"


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with open(os.open(path, flags, 0o600), "ab") as file:  # noqa: PTH123 - needs a mode
        yield file


def _children(at: Door, log: IO[bytes], runs_log: IO[bytes], say: Callable[[str], None]) -> tuple[Child, Child]:
    server = ["--host", at.host, "--port", str(settings.port())]
    worker = ["worker", "start", "--pool", deploy.work_pool(), "--type", deploy.POOL_TYPE, "--name", "up"]
    return (
        Child(SERVER, server, os.environ, log, module="deployments.guard"),
        Child(WORKER, worker, {**os.environ, **_worker_environment()}, lambda line: _note(line, runs_log, say)),
    )


def _worker_environment() -> dict[str, str]:
    return {
        "TMPDIR": str(_empty_temporary_directory()),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        **prefect_settings.RUNS,
        # As in prefect.yaml, for runs of a deployment that was not made from it.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_LEVEL": "INFO",  # the runs' own logs, which the UI shows
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT": "%(asctime)s %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(asctime)s | %(flow_run_name)s: %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(asctime)s %(levelname)s %(task_run_name)s: %(message)s",
    }


def _empty_temporary_directory() -> Path:
    # A killed run leaves its working directory behind; here the next `up` sweeps it away.
    path = own_secrets.prefect_home() / "tmp"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


def _note(line: str, log: IO[bytes], say: Callable[[str], None]) -> None:
    log.write(f"{line}\n".encode())
    log.flush()
    if ended := _ENDED.match(line):
        say("{time} {run}: {state}. {text}".format(**ended.groupdict()))
    elif _SHOWN.search(line):
        say(line)


def _start(
    at: Door,
    children: tuple[Child, Child],
    deploy_sources: Callable[[], None],
    stop: Stop,
    say: Callable[[str], None],
) -> None:
    server, worker = children
    say("Starting the Prefect server …")
    server.start()
    _wait_for(server, stop)
    if stop.asked:
        return
    with _client() as client:
        deploy.ensure_work_pool(client, local=True)
        runs.settle_crashed(client)
    deploy_sources()
    worker.start()
    prefect_access.announce(_api_url())
    say(f"Prefect is up at {at.public_url or at.origin}")
    say(f"Log in with {own_secrets.load_secrets().auth_string}")
    say("Stop with Ctrl-C.")


def _client() -> contextlib.AbstractContextManager[SyncPrefectClient]:
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - after the environment is set

    return get_client(sync_client=True)


def _wait_for(server: Child, stop: Stop) -> None:
    import prefect.client.orchestration  # noqa: F401, PLC0415 - takes 2 s, which the server needs anyway

    deadline = time.monotonic() + START_SECONDS
    while not stop.asked and not prefect_access.answers(_api_url()):
        if server.exit_code() is not None or time.monotonic() > deadline:
            raise FirstPartyGenericError(
                f"The Prefect server did not start: {_last_words()}", hint=f"Its log is {server_log()}."
            )
        time.sleep(POLL_SECONDS)


def _last_words() -> str:
    lines = server_log().read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _keep_alive(child: Child, say: Callable[[str], None]) -> None:
    if child.is_due():
        child.start()
    code = child.exit_code()
    if code is None:
        return
    child.kill()
    delay = child.postpone()
    say(f"The {child.name} ended (exit code {code}); it is started again in {delay:.0f} s.")
    if child.name == WORKER:
        _settle(runs.settle_crashed)


def _stop(server: Child, worker: Child, stop: Stop, say: Callable[[str], None]) -> None:
    if stop.asked:
        say("Stopping. Runs finish the page in hand; Ctrl-C again stops at once.")
    _end_runs(server, worker, stop)
    worker.stop(signal.SIGINT, 0 if stop.urged else WORKER_SECONDS)
    if server.exit_code() is None:
        _settle(runs.settle_stopped)
    server.stop(signal.SIGTERM, 0 if stop.urged else SERVER_SECONDS)
    if stop.asked:
        say("Stopped.")


def _end_runs(server: Child, worker: Child, stop: Stop) -> None:
    import httpx  # noqa: PLC0415 - as Prefect

    if worker.pid is None:
        return
    deadline = time.monotonic() + RUNS_SECONDS
    with contextlib.suppress(httpx.HTTPError), _client() as client:
        ending = runs.Ending(client, worker.pid)
        # Again and again: the worker may start one more run meanwhile, and a busy server may refuse to answer.
        while server.pid and server.exit_code() is None and not stop.urged and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if not ending.ask():
                    return
            time.sleep(POLL_SECONDS)


def _settle(how: Callable[[SyncPrefectClient], None]) -> None:
    import httpx  # noqa: PLC0415 - as Prefect

    for _ in range(SETTLE_TIMES):
        with contextlib.suppress(httpx.HTTPError), _client() as client:
            how(client)
            return
        time.sleep(POLL_SECONDS)
