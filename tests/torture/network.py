"""What the torture tests of the network share: a source, a clock that jumps to the next retry, a proxy server."""

from __future__ import annotations

import contextlib
import http.client
import sqlite3
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.certificates import server_context
from support.flow_runs import Source, history, outcome
from support.moving_clock import MovingClock
from torture.outcome import Row, opened, request_count, stored
from whenever import Instant

from blocks import clock
from blocks.events_api.models import Api
from blocks.store import streams
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography import x509
    from prefect.client.schemas.objects import State

    from deployments.sandbox.process import SandboxProcess

GENERIC = "ThirdPartyGenericError"
CONFIG = "ThirdPartyConfigError"
WARNED = (GENERIC, "Warning")
GAVE_UP = (GENERIC, "Error")
REFUSED = (CONFIG, "Error")
TICK = 300.0
RUNNING = ["Started", "Initialized", "Authenticated", "Collecting"]
WINDOW = 90 * 60.0
PATIENCE = 30.0  # real seconds: a reader that has died holds its stream for ever
ATTEMPTS = {60.0: 20, 900.0: 36, WINDOW: 70}
"""The most requests for an API within so many seconds of failing: waits begin at 1 s and grow by a quarter."""


class JumpingClock(MovingClock):
    """A clock that jumps to the first retry once all readers wait for theirs. The sandbox's clock moves with it."""

    def __init__(self) -> None:
        super().__init__(time.time_ns())
        self.waits: list[float] = []
        self.readers: Callable[[], int] = lambda: 1
        self.sandboxes: list[SandboxProcess] = []
        self._due: list[tuple[int, Callable[[], None]]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self._due.append((self.now_ns() + int(seconds * 1e9), action))

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        for sandbox in self.sandboxes:
            sandbox.advance(seconds)
        now_ns = self.now_ns()
        for one in [one for one in self._due if one[0] <= now_ns]:
            self._due.remove(one)
            one[1]()

    def engine_delay(self, seconds: float) -> float:
        with self._moved:
            until_ns = self._now_ns + int(seconds * 1e9)
            self.waits.append(seconds)
            self._sleepers.append(until_ns)
            try:
                self._wait(until_ns)
            finally:
                self._sleepers.remove(until_ns)
        return 0.001

    def _wait(self, until_ns: int) -> None:
        patient_until = time.monotonic() + PATIENCE
        while self._now_ns < until_ns:
            first_ns = min(self._sleepers)
            asleep = len(self._sleepers) >= self.readers() or time.monotonic() > patient_until
            if asleep and first_ns > self._now_ns:
                self.advance((first_ns - self._now_ns) / 1e9 + 1e-6)
            self._moved.wait(0.02)  # readers that are due continue


@dataclass
class Victim:
    """A source whose server or network has a fault, and its row of the table."""

    source: Source
    clock: JumpingClock
    row: Row
    allowed: int = 0

    @property
    def sandbox(self) -> SandboxProcess:
        return self.source.sandbox

    def collect(self, name: str = "Collected", *, asks: bool = True) -> State[Any]:
        """One run, which must end with the outcome `name`. `asks`: it makes requests."""
        state = self.source.collect()
        assert outcome(state) == name, state.message
        kept = [one for one in history(state) if one in {*RUNNING, state.name}]
        assert kept == [*(RUNNING if asks else RUNNING[:1]), state.name], kept
        self.allowed += len(Api)
        return state

    def arrive(self, count: int = 3) -> None:
        for api in Api:
            self.sandbox.arrive(api.path, count)

    def save(self, **members: Any) -> None:
        """Save its configuration. No lag is reported: while a run waits for 90 minutes, no other run ticks here."""
        self.source.save(**{"lag_after": "off", **members})

    def restart(self) -> None:
        with opened(self.source.url) as engine:
            streams.restart(engine, self.source.status().id)

    def health_events(self, tracker: str = "") -> list[tuple[str, str]]:
        """The name and severity of its health events (of one tracker), oldest first."""
        return [(name, severity) for name, severity, found in health_events_of(self.source) if tracker in ("", found)]

    def is_complete(self) -> bool:
        Row("").compare(self.source.url, self.sandbox, self.source.name)
        return True

    def times_of(self, api: Api) -> list[float]:
        """The times of the requests for pages of an API, in seconds, by the server's own clock."""
        last = self.sandbox.requests()["last"]
        return [seconds_of(one["at"]) for one in last if one["endpoint"].endswith(f"/{api.path}")]

    def end(self) -> None:
        """Assert that each event is stored once, and that no more requests were made than allowed."""
        self.row.compare(self.source.url, self.sandbox, self.source.name)
        self.row.count_requests(self.sandbox, self.allowed)


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> JumpingClock:
    own = JumpingClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def start(jumping: JumpingClock, tmp_path: Path, row: Row) -> Iterator[Callable[..., Victim]]:
    """A victim whose server has so many events; by default three pages of each API."""

    def make(events: int = 7500, **members: Any) -> Victim:
        source = new_source(running.enter_context(running_sandbox(events=events, days=3)), tmp_path)
        jumping.sandboxes.append(source.sandbox)
        jumping.readers = claimed(source.url)
        victim = Victim(source, jumping, row, allowed=len(Api) * (events // 3000))
        victim.save(**members)
        return victim

    with contextlib.ExitStack() as running:
        yield make
        jumping.sandboxes.clear()


def quiet_while_stopped(victim: Victim, api: Api, ticks: int) -> None:
    """The other APIs are collected at each tick; this one makes no request and reports no other health event."""
    before, said = request_count(victim.sandbox, api.path), victim.health_events()
    for _ in range(ticks):
        victim.clock.advance(TICK)
        victim.arrive(1)
        state = victim.collect(CONFIG)
        assert "2 new events" in (state.message or "")
    assert request_count(victim.sandbox, api.path) == before
    assert victim.health_events() == said


def seconds_of(at: str) -> float:
    return Instant.parse_iso(at).timestamp(unit="nanosecond") / 1e9


def health_events_of(source: Source) -> list[tuple[str, str, str]]:
    """The health events of a source: name, severity, tracker."""
    with opened(source.url) as engine, engine.connect() as connection:
        query = text("SELECT name, severity, tracker FROM health_events WHERE source_id = :id ORDER BY id")
        return [tuple(row) for row in connection.execute(query, {"id": source.status().id})]  # type: ignore[misc]


def descriptions(source: Source) -> list[str]:
    with opened(source.url) as engine, engine.connect() as connection:
        query = text("SELECT description FROM health_events WHERE source_id = :id ORDER BY id")
        return [str(row.description) for row in connection.execute(query, {"id": source.status().id})]


def quarantined(source: Source) -> dict[str, list[bytes]]:
    """The bodies in quarantine, by API."""
    found: dict[str, list[bytes]] = {}
    with opened(source.url) as engine, engine.connect() as connection:
        query = text("SELECT api, body FROM quarantine JOIN streams ON streams.id = stream_id WHERE source_id = :id")
        for api, body in connection.execute(query, {"id": source.status().id}):
            found.setdefault(api, []).append(bytes(body))
    return found


def kept_of(source: Source, api: Api) -> list[bytes]:
    """All bodies that the store has of an API, as events or in quarantine."""
    events = [body.encode() for body in stored(source.url, source.name).of(api)]
    return events + quarantined(source).get(api, [])


def new_source(sandbox: SandboxProcess, directory: Path) -> Source:
    return Source(f"net {uuid.uuid4().hex[:8]}", f"sqlite:///{directory / 'events.db'}", sandbox)


def claimed(url: str) -> Callable[[], int]:
    """A function that returns the number of claimed streams: their readers have not ended."""

    def count() -> int:
        # Not by an engine of the store: it would wait for a writer, and writers ask what time it is.
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return int(connection.execute("SELECT count(*) FROM streams WHERE holder IS NOT NULL").fetchone()[0])

    return count


@dataclass
class Front:
    """A proxy server on loopback before the sandbox, or a server that only records its requests.

    `shows` sets or replaces its certificate. It counts handshakes, failed ones too, and records the headers of
    each request that it could read.
    """

    port: int
    directory: Path
    context: ssl.SSLContext | None = None
    handshakes: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)

    def shows(self, certificate: x509.Certificate) -> None:
        self.context = server_context(self.directory, certificate)

    @property
    def base_url(self) -> str:
        return f"https://localhost:{self.port}" if self.context else f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def front(directory: Path, sandbox: SandboxProcess | None = None) -> Iterator[Front]:
    """Run a Front that forwards each request to the sandbox; without one, it answers with an empty object."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.requests.append(dict(self.headers))
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = _passed_on(sandbox, self, body) if sandbox else (200, {}, b"{}")
            self.send_response_only(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base class's name

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            accepted, address = super().get_request()
            made.handshakes += 1
            if made.context is None:
                return accepted, address
            with accepted:  # what is wrapped holds the connection from then on; what is not is closed
                return made.context.wrap_socket(accepted, server_side=True), address

        def handle_error(self, *_: object) -> None:  # a client that hung up
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Front(server.server_address[1], directory)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield made
        finally:
            server.shutdown()
            serving.join()


def _passed_on(
    sandbox: SandboxProcess, request: BaseHTTPRequestHandler, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    host = sandbox.base_url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(host, timeout=30)) as connection:
        sent = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request(request.command, request.path, body, sent)
        answer = connection.getresponse()
        kept = ("content-type", "content-encoding", "retry-after")
        headers = {name: value for name in kept if (value := answer.getheader(name))}
        return answer.status, headers, answer.read()
