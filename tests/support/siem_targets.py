"""Every kind of SIEM behind one interface, each with a real server in its own process.

HTTP targets behave as their vendors document it (see `receivers`); syslog is a real rsyslog over TLS, the archive a
real S3 server and a directory.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from receivers import sentinel, splunk, sumo_logic, webhook
from receivers.process import ReceiverProcess
from support import real_syslog, s3_server
from support.one_machine import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.behaviour import Kind

HTTP = ("sumo-logic", "splunk", "elasticsearch", "sentinel", "otlp", "webhook")
KINDS = (*HTTP, "syslog", "archive", "archive-s3")
ONCE = frozenset({"elasticsearch", "archive", "archive-s3"})
"""Targets that never store an event twice: they identify it by its id, or replace an object as a whole."""


API_KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="


class Target:
    """A server that a test can kill and restart, and the members of the block for it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind.removesuffix("-s3")
        self.once = kind in ONCE
        self.format_name = ""

    @property
    def config(self) -> dict[str, Any]:
        """The members of the block, with the format if a test sets another one."""
        return {**self.members, **({"event_format": self.format_name} if self.format_name else {})}

    @property
    def members(self) -> dict[str, Any]:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        """End it with SIGKILL at any moment."""
        raise NotImplementedError

    def arrived(self) -> Counter[str]:
        """How often the target has each uuid."""
        raise NotImplementedError

    def cpu_seconds(self) -> float:
        """The server's CPU time so far, user and system; 0 if it is not measured."""
        return 0.0

    def close(self) -> None:
        self.kill()


class HttpTarget(Target):
    def __init__(self, kind: str, directory: Path) -> None:
        super().__init__(kind)
        self.process = ReceiverProcess(kind.replace("-", "_"), directory / "arrived")

    @property
    def members(self) -> dict[str, Any]:
        return _HTTP_MEMBERS[self.kind](self.process.url)

    def start(self) -> None:
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        self.process.close()

    def cpu_seconds(self) -> float:
        return self.process.cpu_seconds()

    def behave(self, kind: Kind, times: int | None = 1, **options: Any) -> None:
        with contextlib.suppress(httpx.HTTPError):  # it may be dead at this moment
            self.process.behave(kind, times, **options)

    def arrived(self) -> Counter[str]:
        return self.process.arrived()


class SyslogTarget(Target):
    def __init__(self, directory: Path) -> None:
        super().__init__("syslog")
        self._daemon = real_syslog.Rsyslog(directory)
        self._running = contextlib.ExitStack()

    @property
    def members(self) -> dict[str, Any]:
        authority = (self._daemon.directory / "authority.pem").read_text()
        return {"host": "localhost", "port": self._daemon.port, "ca_certificate": authority}

    def start(self) -> None:
        if self._daemon.port:
            self._daemon.start()
        else:
            self._running.enter_context(real_syslog.running(self._daemon))

    def kill(self) -> None:
        self._daemon.kill()

    def arrived(self) -> Counter[str]:
        return Counter(_uuid_in(line) for line in self._daemon.each_line())


class ArchiveTarget(Target):
    """An archive in a directory."""

    def __init__(self, kind: str, directory: Path) -> None:
        super().__init__(kind)
        self._files = directory / s3_server.BUCKET
        self._files.mkdir()

    @property
    def members(self) -> dict[str, Any]:
        return {"url": self._files.as_uri()}

    def start(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def arrived(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for file in self._files.rglob("*.ndjson.gz"):
            found.update(json.loads(line)["uuid"] for line in gzip.decompress(file.read_bytes()).splitlines())
        return found


class S3Target(ArchiveTarget):
    def __init__(self, directory: Path) -> None:
        super().__init__("archive-s3", directory)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as door:
            self._port = door.getsockname()[1]

    @property
    def members(self) -> dict[str, Any]:
        return {
            "url": f"s3://{s3_server.BUCKET}",
            "endpoint": f"http://127.0.0.1:{self._port}",
            "region": "us-east-1",
            "access_key_id": s3_server.KEY_ID,
            "secret_key": s3_server.SECRET,
        }

    def start(self) -> None:
        rclone = Path(sys.executable).with_name("rclone")
        keys = f"{s3_server.KEY_ID},{s3_server.SECRET}"
        options = ("--addr", f"127.0.0.1:{self._port}", "--auth-key", keys, "--config", "/dev/null")
        self._process = subprocess.Popen(
            [rclone, "serve", "s3", *options, self._directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False


def target(kind: str, directory: Path) -> Target:
    if kind == "syslog":
        return SyslogTarget(directory)
    if kind == "archive":
        return ArchiveTarget(kind, directory)
    return S3Target(directory) if kind == "archive-s3" else HttpTarget(kind, directory)


@contextlib.contextmanager
def running(kind: str, directory: Path) -> Iterator[Target]:
    found = target(kind, directory)
    found.start()
    try:
        yield found
    finally:
        found.close()


class Forwarder:
    """Runs `tests/support/forwarder.py` in its own process."""

    def __init__(self, url: str, siem: Target) -> None:
        self._job = json.dumps({"url": url, "kind": siem.kind, "members": siem.config}).encode()
        self._process: subprocess.Popen[bytes] | None = None
        self.said: dict[str, Any] = {}

    def start(self) -> None:
        script = Path(__file__).with_name("forwarder.py")
        self._process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(self._job)
        self._process.stdin.close()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._end()

    def finish(self) -> None:
        """Wait until it has forwarded all events. Raises AssertionError if it failed."""
        assert self._process is not None
        assert self._process.stdout is not None
        self.said = json.loads(self._process.stdout.read() or b"{}")
        code = self._process.wait()
        self._end()
        assert code == 0

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


def _uuid_in(line: bytes) -> str:
    # rsyslog writes the structured data, which has the uuid, before the message.
    start = line.index(b'"uuid"') + len(b'"uuid"')
    return line[start:].split(b'"', 2)[1].decode()


_HTTP_MEMBERS: dict[str, Any] = {
    "sumo-logic": lambda url: {"url": url + sumo_logic.PATH},
    "splunk": lambda url: {"url": url, "token": splunk.TOKEN},
    "elasticsearch": lambda url: {"url": url, "api_key": API_KEY},
    "sentinel": lambda url: {
        "endpoint": url,
        "authority": url,
        "rule_id": sentinel.RULE,
        "stream": sentinel.STREAM,
        "tenant_id": sentinel.TENANT,
        "client_id": sentinel.CLIENT,
        "client_secret": sentinel.SECRET,
    },
    "otlp": lambda url: {"url": url},
    "webhook": lambda url: {
        "url": url + webhook.PATH,
        "signing_secret": webhook.SECRET,
        "headers": f"Authorization: {webhook.AUTHORIZATION}",
    },
}
