"""The database of this machine's Prefect server: an embedded PostgreSQL that runs as long as a process uses it.

Prefect on SQLite stops on a busy machine: one error "database is locked" causes the next. So PostgreSQL is the default
on every platform that has it. Each process that needs the database holds a shared lock. The first of them starts a
supervisor (`python -m deployments.prefect_api.database`), which runs PostgreSQL until no process holds that lock. A
killed process needs no cleanup: the system drops its lock. Nothing here imports Prefect.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from blocks import python_process, settings
from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import database_version, file_lock, postgresql
from deployments.prefect_api.local_files import prefect_database, prefect_home
from deployments.rotating_log import RotatingLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deployments.prefect_api.postgresql import Cluster

URL_SETTINGS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
POLL_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE, STEADY_AFTER = 1.0, 60.0, 60.0
"""Seconds before a PostgreSQL that ended is restarted, doubled each time until one has lived for STEADY_AFTER."""


def cluster() -> Cluster:
    return postgresql.cluster_in(prefect_home())


def configured_url() -> str | None:
    """The database that the user has set for the Prefect server, with one of Prefect's own settings, or None."""
    named = (os.environ.get(name) for name in URL_SETTINGS)
    return next((url for url in named if url and url != _url()), None)


def is_embedded() -> bool:
    """True if the Prefect server of this machine uses the embedded PostgreSQL.

    Raises FirstPartyGenericError if it did so before and cannot any more. Another database would be empty, as if
    everything were lost.
    """
    if configured_url() is not None:
        return False
    if postgresql.is_installed():
        return True
    if cluster().is_created:
        raise FirstPartyGenericError(
            f"The Prefect server's database cannot be started: {postgresql.unavailable_reason()}. Nothing was changed.",
            hint=f"Run it as the user and on the machine that made {cluster().data}.",
            code="prefect-database",
        )
    return False


def warning() -> str | None:
    """A warning for the user if Prefect has to use SQLite, which is slow on a busy machine; else None."""
    if configured_url() is not None or is_embedded():
        return None
    return (
        f"The Prefect server uses SQLite, since {postgresql.unavailable_reason()}. It is slow with more than a few "
        f"sources; give it a PostgreSQL with {URL_SETTINGS[0]}=postgresql+asyncpg://…"
    )


def environment() -> dict[str, str]:
    """The variables that say where the database is. Only the process of the Prefect server needs them."""
    if not is_embedded():
        return {}
    return {
        URL_SETTINGS[0]: _url(),
        # Prefect gives up on a query after ten seconds and on a connection after five. A busy machine takes longer.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
        # An idle connection takes ten megabytes. Up to ten more open and close under load.
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "3",
    }


def psycopg_url() -> str:
    """The URL of the same database for psycopg."""
    return _url("postgresql")


def _url(scheme: str = "postgresql+asyncpg") -> str:
    host = quote(str(cluster().sockets), safe="")
    return f"{scheme}://{postgresql.USER}@/{postgresql.DATABASE}?host={host}"


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Within this context the embedded database, if it is used, accepts connections.

    Raises FirstPartyGenericError if it does not start.
    """
    if not is_embedded():
        yield
        return
    with keep_alive() as supervisor:
        wait_until_ready(supervisor)
        database_version.require_known(psycopg_url())
        _move_from_sqlite()
        yield


@contextlib.contextmanager
def keep_alive() -> Iterator[subprocess.Popen[bytes] | None]:
    """Keep the supervisor from stopping the database, and start one if there is none. Does not wait for the database.

    Yields the supervisor if this process has started it, else None.
    """
    if not is_embedded():
        yield None
        return
    with file_lock.hold(_users_lock(), shared=True):
        yield ensure_supervisor()


def ensure_supervisor() -> subprocess.Popen[bytes] | None:
    """Start a supervisor if there is none, for example after the last one was killed. Call it within `keep_alive`."""
    descriptor = file_lock.open_lock(_supervisor_lock())
    try:
        if not file_lock.try_lock(descriptor):
            return None
        # The supervisor inherits the lock, and so holds it from its first moment. If it had to take the lock itself,
        # each check while Python starts would find none and start a spare.
        supervisor = subprocess.Popen(
            python_process.command("deployments.prefect_api.database", str(descriptor)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            start_new_session=True,
            env={**os.environ, settings.PREFIX + "DATA_DIR": str(settings.data_dir())},
            cwd="/",
        )
    finally:
        os.close(descriptor)
    # `poll` reaps a supervisor that was killed: a process that starts one each time must leave no zombies.
    _started[:] = [one for one in _started if one.poll() is None]
    _started.append(supervisor)
    return supervisor


_started: list[subprocess.Popen[bytes]] = []
"""The supervisors that this process has started. They outlive the variables of the callers."""


def is_ready() -> bool:
    """True if the database reports that it accepts connections. Always true if it is not the embedded one."""
    return not is_embedded() or cluster().is_ready()


def wait_until_ready(supervisor: subprocess.Popen[bytes] | None = None) -> None:
    """Raises FirstPartyGenericError if the database is not ready in time, or the supervisor has failed."""
    started = [supervisor] if supervisor is not None else []

    def is_alive() -> bool:
        # A supervisor that was about to end may have held its lock when this process tried it.
        if (another := ensure_supervisor()) is not None:
            started.append(another)
        return not any(one.poll() for one in started)

    if cluster().wait_until_ready(is_alive):
        return
    raise FirstPartyGenericError(
        f"The Prefect server's database did not start: {RotatingLog(log_path()).last_line() or 'it logged nothing'}",
        hint=f"Its log is {log_path()}. Collected events are in another database, and are not affected.",
        code="prefect-database",
    )


def wait_until_stopped() -> None:
    """Wait until no supervisor is left. Call it after this process has left `keep_alive`."""
    while is_embedded() and not file_lock.is_free(_supervisor_lock()) and not _is_in_use():
        time.sleep(POLL_SECONDS / 5)
    for supervisor in _started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(POLL_SECONDS)


def _is_in_use() -> bool:
    descriptor = file_lock.open_lock(_users_lock())
    try:
        # The supervisor takes this lock when it stops. Any other process that holds it (shared) is a user.
        return file_lock.try_lock(descriptor, shared=True) and not file_lock.try_lock(descriptor)
    finally:
        os.close(descriptor)


def log_path() -> Path:
    """The log of PostgreSQL and of its supervisor."""
    return settings.data_dir() / "database.log"


def _move_from_sqlite() -> None:
    if not prefect_database().exists():
        return
    from deployments.prefect_api import database_move  # noqa: PLC0415 - once in the life of an installation

    database_move.move(environment(), psycopg_url())


def _users_lock() -> Path:
    return prefect_home() / "database-users.lock"


def _supervisor_lock() -> Path:
    return prefect_home() / "database.lock"


class Supervisor:
    """Runs PostgreSQL while a process uses it, restarts it if it ends, and stops it when no user is left."""

    def __init__(self, cluster: Cluster, users: Path, log: RotatingLog) -> None:
        self._cluster = cluster
        self._users = users
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE
        self._started = 0.0
        self.stopping = threading.Event()

    def supervise(self) -> None:
        """Run until no process holds the users' lock, or `stopping` is set."""
        if not self._cluster.is_created:
            self._cluster.make()
        descriptor = file_lock.open_lock(self._users)
        while not self.stopping.is_set():
            if file_lock.try_lock(descriptor):
                break
            self._keep_running()
            self.stopping.wait(POLL_SECONDS)
        # The lock is held until this process ends: a process that waits for it then starts the next supervisor.
        self._cluster.stop()
        self._end_without_data()

    def _end_without_data(self) -> None:
        """Kill a PostgreSQL whose data directory was removed: `stop` cannot find it by its pid file any more."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _keep_running(self) -> None:
        # A PostgreSQL that an earlier supervisor left running is as good as our own.
        if self._is_running():
            return
        if self._started:
            self._log.write(f"PostgreSQL ended; it restarts in {self._pause:.0f} s.")
            if self.stopping.wait(self._pause):
                return
            steady = time.monotonic() - self._started > STEADY_AFTER
            self._pause = FIRST_PAUSE if steady else min(self._pause * 2, LONGEST_PAUSE)
        self._start()

    def _is_running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._cluster.pid() is not None

    def _start(self) -> None:
        self._started = time.monotonic()
        read, write = os.pipe()
        try:
            self._process = self._cluster.start(write)
        finally:
            os.close(write)
        threading.Thread(target=_copy_lines, args=(read, self._log), daemon=True).start()


def _copy_lines(read: int, log: RotatingLog) -> None:
    with open(read, "rb") as lines:
        for line in lines:
            log.write(line.decode(errors="replace").rstrip())


def main() -> None:
    """Supervise the database of this data directory. The argument is the descriptor of the supervisor's lock."""
    os.umask(0o077)
    os.set_inheritable(int(sys.argv[1]), False)  # or a PostgreSQL that outlives this process would keep the lock
    log = RotatingLog(log_path())
    supervisor = Supervisor(cluster(), _users_lock(), log)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stopping.set())
    try:
        supervisor.supervise()
    except (FirstPartyGenericError, OSError) as error:
        log.write(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
