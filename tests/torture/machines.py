"""Machines that share a network and nothing else: each has its own host name, home and data directory.

The far one is in a network namespace. A test can cut its cable: packets get lost in both directions.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from support.one_machine import free_port, wait_until

from blocks.http import tls
from deployments.prefect_api import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BIN = Path(sys.executable).parent
UNUSED_MAC = "02:00:00:00:00:99"
PASSWORD = "p4ss"
AUTH = "admin:a-password"
KEY = base64.urlsafe_b64encode(bytes(32)).decode()
START_SECONDS, STOP_SECONDS = 300.0, 60.0
RELAY = """
import socket, sys, threading
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
here, there, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
server = socket.create_server((here, port))
print("listening", flush=True)
def serve(near):
    try:
        far = socket.create_connection((there, port))
    except OSError:
        near.close()
        return
    threading.Thread(target=copy, args=(near, far), daemon=True).start()
    copy(far, near)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def own_environment(directory: Path) -> dict[str, str]:
    """The environment of a process of the machine in `directory`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))}
    return {**kept, "HOME": str(directory)}


class Cable:
    """The network link between a network namespace and this machine."""

    def __init__(self, number: int) -> None:
        self.namespace, self._near, self._far = f"far{number}", f"near{number}", f"there{number}"
        self.near = f"10.231.{number % 250}.1"
        self._there = f"10.231.{number % 250}.2"

    @classmethod
    @contextmanager
    def laid(cls) -> Iterator[Cable]:
        """Create the link. Skips the test if this user may not."""
        cable = cls(os.getpid() % 10_000)
        try:
            cable._lay()
        except (OSError, subprocess.CalledProcessError):
            cable._remove()
            pytest.skip("this user may not make a network namespace")
        try:
            yield cable
        finally:
            cable._remove()

    def _lay(self) -> None:
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far)
        _ip("link", "set", self._far, "netns", self.namespace)
        _ip("addr", "add", f"{self.near}/30", "dev", self._near)
        _ip("link", "set", self._near, "up")
        for arguments in (
            ("addr", "add", f"{self._there}/30", "dev", self._far),
            ("link", "set", self._far, "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self.namespace, *arguments)

    def cut(self) -> None:
        """From now on each end sends to a MAC address that no machine has."""
        _ip("neigh", "replace", self._there, "lladdr", UNUSED_MAC, "dev", self._near, "nud", "permanent")
        of_far = ("neigh", "replace", self.near, "lladdr", UNUSED_MAC, "dev", self._far, "nud", "permanent")
        _ip("-n", self.namespace, *of_far)

    def heal(self) -> None:
        _ip("neigh", "del", self._there, "dev", self._near)
        _ip("-n", self.namespace, "neigh", "del", self.near, "dev", self._far)

    @property
    def within(self) -> list[str]:
        """The prefix of a command that runs at the far end."""
        return ["ip", "netns", "exec", self.namespace]

    @contextmanager
    def carrying(self, port: int) -> Iterator[None]:
        """Forward the loopback port `port` of the far end to that of this machine, through the cable."""
        with _relay([], self.near, "127.0.0.1", port), _relay(self.within, "127.0.0.1", self.near, port):
            yield

    def _remove(self) -> None:
        for arguments in (("link", "del", self._near), ("netns", "del", self.namespace)):
            with suppress(OSError, subprocess.CalledProcessError):
                _ip(*arguments)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def _relay(prefix: Sequence[str], here: str, there: str, port: int) -> Iterator[None]:
    command = [*prefix, sys.executable, "-c", RELAY, here, there, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@dataclass
class Databases:
    """One PostgreSQL server for all machines, with a database for Prefect and one for events."""

    host: str
    port: int

    @classmethod
    @contextmanager
    def running(cls, host: str) -> Iterator[Databases]:
        made = cls(host, free_port())
        with tempfile.TemporaryDirectory(prefix="pg-") as name, pytest.MonkeyPatch.context() as patched:
            patched.setitem(postgresql.OPTIONS, "listen_addresses", host)
            patched.setitem(postgresql.OPTIONS, "port", str(made.port))
            cluster = postgresql.cluster_in(Path(name))
            cluster.make()
            (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all samenet scram-sha-256\n")
            with (Path(name) / "log").open("wb") as log:
                process = cluster.start(log.fileno())
            try:
                assert cluster.wait_until_ready(lambda: process.poll() is None), (Path(name) / "log").read_text()
                made._fill(cluster.sockets)
                yield made
            finally:
                cluster.stop()
                process.wait()

    def _fill(self, sockets: Path) -> None:
        options = {"host": str(sockets), "port": self.port, "user": postgresql.USER}
        with psycopg.connect(dbname="postgres", autocommit=True, **options) as connection:
            connection.execute(f"ALTER USER {postgresql.USER} PASSWORD '{PASSWORD}'".encode())
            for name in ("prefect", "events"):
                connection.execute(f"CREATE DATABASE {name}".encode())
        with psycopg.connect(dbname="prefect", autocommit=True, **options) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")

    def url(self, name: str, scheme: str = "postgresql") -> str:
        return f"{scheme}://{postgresql.USER}:{PASSWORD}@{self.host}:{self.port}/{name}"


@dataclass
class Server:
    """A Prefect server, started as the documentation says."""

    directory: Path
    host: str
    database: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/api"

    @property
    def _env(self) -> dict[str, str]:
        return {
            **own_environment(self.directory),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database,
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_ENCRYPTION_KEY": KEY,
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "deployments.one_machine.event_order",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "1209600",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        command = [BIN / "prefect", "server", "start", "--host", self.host, "--port", str(self.port)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self._env, cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, START_SECONDS)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", trust_env=False, verify=tls.trusted()).is_success
        return False

    def kill(self) -> None:
        kill_group(self.process)
        self.process = None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        name, _, password = AUTH.partition(":")
        answer = httpx.request(
            method,
            f"{self.url}{path}",
            json=body,
            auth=(name, password),
            timeout=60,
            trust_env=False,
            verify=tls.trusted(),
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


@dataclass
class Machine:
    """A machine with a worker, started as the documentation says."""

    name: str
    directory: Path
    further: dict[str, str]
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def _env(self) -> dict[str, str]:
        own = {"ONEPASSWORD_SOURCE_DATA_DIR": str(self.directory / "data")}
        return {**own_environment(self.directory), **own, **self.further}

    def _command(self, *command: str | Path) -> list[str]:
        as_host = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return [*self.prefix, *as_host, *map(str, command)]

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        before = self.log.count("started!")
        command = self._command(
            BIN / "prefect", "worker", "start", "--pool", "onepassword-source", "--type", "onepassword-source"
        )
        with (self.directory / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self._env,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self.log.count("started!") > before or not self.is_running(), START_SECONDS)
        assert self.is_running(), self.log[-2000:]

    @property
    def log(self) -> str:
        path = self.directory / "worker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL the worker and all its runs, as a power failure does."""
        kill_group(self.process)
        self.process = None

    def stop(self) -> float:
        """Send SIGTERM to the worker, as systemd does. Returns the seconds until it has ended."""
        assert self.process is not None
        before = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - before

    def call(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(BIN / "onepassword-source", *arguments),
            env=self._env,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submitted_runs(self) -> list[str]:
        """The ids of the runs that its worker started, in this order."""
        return re.findall(r"submitting flow run '([\da-f-]{36})'", self.log.replace("\n", " "))


def kill_group(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
