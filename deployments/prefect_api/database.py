"""The database under this machine's Prefect server: an embedded PostgreSQL that lives as long as it is used.

Prefect on SQLite stands still on a busy machine (one error "database is locked" breeds the next), so PostgreSQL is the
default wherever it runs. Each process that needs the database holds a shared lock; a supervisor (`python -m
deployments.prefect_api.database`), started by the first of them, runs PostgreSQL until no process holds that lock.
A killed process needs no care: the system drops its lock.
Nothing here imports Prefect.
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
from deployments.prefect_api import file_lock, postgresql
from deployments.prefect_api.local_files import prefect_database, prefect_home
from deployments.rotating_log import RotatingLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deployments.prefect_api.postgresql import Cluster

URL_SETTINGS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
POLL_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE, STEADY_AFTER = 1.0, 60.0, 60.0
"""Seconds before a PostgreSQL that ended is started again, doubled each time until one has lived for a while."""


def cluster() -> Cluster:
    return postgresql.cluster_in(prefect_home())


def configured_url() -> str | None:
    """The database that the user has named for the Prefect server, with a setting of Prefect's own."""
    named = (os.environ.get(name) for name in URL_SETTINGS)
    return next((url for url in named if url and url != _url()), None)


def is_embedded() -> bool:
    """Whether the Prefect server of this machine uses the embedded PostgreSQL.

    Raises FirstPartyGenericError if it did so far and cannot any more: another database would look as if all were lost.
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
    """A sentence for the person if SQLite has to do, which a busy machine slows down."""
    if configured_url() is not None or is_embedded():
        return None
    return (
        f"The Prefect server uses SQLite, since {postgresql.unavailable_reason()}. It is slow with more than a few "
        f"sources; give it a PostgreSQL with {URL_SETTINGS[0]}=postgresql+asyncpg://…"
    )


def environment() -> dict[str, str]:
    """What the process of the Prefect server needs, and no other: where its database is."""
    if not is_embedded():
        return {}
    return {
        URL_SETTINGS[0]: _url(),
        # Prefect gives up on a query after ten seconds, and on a connection after five; a busy machine takes longer.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
        # Of those that idle each takes ten megabytes; up to ten more come and go under load.
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "3",
    }


def psycopg_url() -> str:
    """The same database for a client of our own."""
    return _url("postgresql")


def _url(scheme: str = "postgresql+asyncpg") -> str:
    host = quote(str(cluster().sockets), safe="")
    return f"{scheme}://{postgresql.USER}@/{postgresql.DATABASE}?host={host}"


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Within it the database answers, if it is the embedded one. Raises FirstPartyGenericError if it does not start."""
    if not is_embedded():
        yield
        return
    with keep_alive() as supervisor:
        wait_until_ready(supervisor)
        _move_from_sqlite()
        yield


@contextlib.contextmanager
def keep_alive() -> Iterator[subprocess.Popen[bytes] | None]:
    """Keep the supervisor from stopping the database, and have one, without waiting until the database answers.

    Gives the supervisor if this process has started it.
    """
    if not is_embedded():
        yield None
        return
    with file_lock.hold(_users_lock(), shared=True):
        yield ensure_supervisor()


def ensure_supervisor() -> subprocess.Popen[bytes] | None:
    """Start a supervisor if there is none, since the last one was killed for instance. Call it within `use`."""
    if not file_lock.is_free(_supervisor_lock()):
        return None
    supervisor = subprocess.Popen(
        python_process.command("deployments.prefect_api.database"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, settings.PREFIX + "DATA_DIR": str(settings.data_dir())},
        cwd="/",
    )
    _started.append(supervisor)
    return supervisor


_started: list[subprocess.Popen[bytes]] = []
"""Those that this process has started: they outlive what a caller keeps of them."""


def is_ready() -> bool:
    """Whether the database answers, by its own word; always so if it is not ours."""
    return not is_embedded() or cluster().is_ready()


def wait_until_ready(supervisor: subprocess.Popen[bytes] | None = None) -> None:
    """Raises FirstPartyGenericError if it is not ready in time, or the supervisor has failed."""
    started = [supervisor] if supervisor is not None else []

    def is_alive() -> bool:
        # One that was about to end may have held its lock when this process looked.
        if (another := ensure_supervisor()) is not None:
            started.append(another)
        return not any(one.poll() for one in started)

    if cluster().wait_until_ready(is_alive):
        return
    raise FirstPartyGenericError(
        f"The Prefect server's database did not start: {RotatingLog(log_path()).last_line() or 'it said nothing'}",
        hint=f"Its log is {log_path()}. Collected events are in another database, and are not affected.",
        code="prefect-database",
    )


def wait_until_stopped() -> None:
    """Until no supervisor is left; for when this process has given up its use."""
    while is_embedded() and not file_lock.is_free(_supervisor_lock()) and not _is_in_use():
        time.sleep(POLL_SECONDS / 5)
    for supervisor in _started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(POLL_SECONDS)


def _is_in_use() -> bool:
    descriptor = file_lock.open_lock(_users_lock())
    try:
        # The supervisor takes it when it stops; every other process that has it shared is a user.
        return file_lock.try_lock(descriptor, shared=True) and not file_lock.try_lock(descriptor)
    finally:
        os.close(descriptor)


def log_path() -> Path:
    """What PostgreSQL has to say."""
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
    """Runs PostgreSQL while anyone uses it, starts it again when it ended, and stops it when no user is left."""

    def __init__(self, cluster: Cluster, users: Path, log: RotatingLog) -> None:
        self._cluster = cluster
        self._users = users
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE
        self._started = 0.0
        self.stopping = threading.Event()

    def supervise(self) -> None:
        """Until no process holds the users' lock, or `stopping` is set."""
        if not self._cluster.is_created:
            self._cluster.make()
        descriptor = file_lock.open_lock(self._users)
        while not self.stopping.is_set():
            if file_lock.try_lock(descriptor):
                break
            self._keep_running()
            self.stopping.wait(POLL_SECONDS)
        # The lock is kept until the process ends: a process that waits for it starts the next supervisor.
        self._cluster.stop()
        self._end_without_data()

    def _end_without_data(self) -> None:
        """Where someone has removed the data directory, PostgreSQL cannot be found by its file any more."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _keep_running(self) -> None:
        # One that an earlier supervisor left behind is as good as our own.
        if self._is_running():
            return
        if self._started:
            self._log.write(f"PostgreSQL ended; it is started again in {self._pause:.0f} s.")
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
    """Supervise the database of this data directory, unless another process does so."""
    os.umask(0o077)
    descriptor = file_lock.open_lock(_supervisor_lock())
    if not file_lock.lock_within(descriptor):
        return
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
