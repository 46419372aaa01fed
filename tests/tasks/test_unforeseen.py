"""An exception that nothing foresees, wherever in an attempt: it is reported, and the claim is released.

First an attempt is made whole, and each function of the store and the client that it calls is noted. Then there is an
attempt for each of them in which this function raises once.
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from prefect.logging import disable_run_logger
from pydantic import SecretStr
from sqlalchemy import text
from support.forwarding import SIEM, FakeSender
from support.values import SOURCE

from blocks import clock
from blocks.errors import ClaimLostError, SourceError, UnexpectedError
from blocks.events_api.client import EventsClient
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.events_api.models import Api
from blocks.siem.webhook.block import Webhook
from blocks.source import OnePasswordSource
from blocks.store import sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import RECONCILE, JobRequest
from blocks.store.block import EventStore
from blocks.store.forwarding import forward_pairs, positions
from deployments.sandbox.process import running_sandbox
from tasks import attempts, collect, forward, read_window, session
from tasks.support import source as opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from deployments.sandbox.process import SandboxProcess

DAY = 86_400 * 10**9
CLOSING = {"client.close", "client.__exit__"}
"""They raise once they have closed what the test would leave open."""


class MadeUpError(Exception):
    """No error class of the project; its text must not be shown."""


@dataclass
class ErrorInjector:
    """Wraps each function of the store and each method of the client; the next call of `victim` raises MadeUpError."""

    called: dict[str, int] = field(default_factory=dict)
    victim: str = ""
    within: bool = False

    def wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if self.within:
                self.called[name] = self.called.get(name, 0) + 1
                if name == self.victim:
                    self.victim = ""
                    if name in CLOSING:
                        function(*arguments, **named)
                    raise MadeUpError("secret of an event")
            return function(*arguments, **named)

        return call


def of_store(module: ModuleType) -> bool:
    name = module.__name__
    return name.startswith("blocks.store.") and ".migrations" not in name and name != "blocks.store.schema"


@pytest.fixture
def injector(monkeypatch: pytest.MonkeyPatch) -> ErrorInjector:
    found = ErrorInjector()
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(("blocks.", "tasks."))]
    wrapped: dict[FunctionType, Any] = {}
    for module in filter(of_store, modules):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                wrapped[function] = found.wrapped(f"{module.__name__}.{name}", function)
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value in wrapped:
                monkeypatch.setattr(module, name, wrapped[value])
    for name, method in inspect.getmembers(EventsClient, inspect.isfunction):
        monkeypatch.setattr(EventsClient, name, found.wrapped(f"client.{name}", method))

    original = attempts.attempt

    @contextmanager
    def noting(*arguments: Any, **named: Any) -> Iterator[Any]:
        with original(*arguments, **named) as attempt:
            found.within = True
            try:
                yield attempt
            finally:
                found.within = False

    monkeypatch.setattr(attempts, "attempt", noting)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with running_sandbox(events=90, days=2) as running:
        yield running


@dataclass
class Struck:
    """A kind of attempt: how a claim is taken for it, how it is made, and where its claim is kept."""

    engine: Engine
    take: Callable[[str], Any]
    attempt: Callable[[Any], object]
    table: str
    again: Callable[[], None]

    def is_done(self) -> bool:
        """Whether the attempt had come to its end before it failed, so that there is nothing left to take."""
        return self.table == "windows" and not self._count("done_ns IS NULL")

    def holders(self) -> int:
        return self._count("holder IS NOT NULL")

    def _count(self, which: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {self.table} WHERE {which}")) or 0)

    def events(self) -> list[tuple[str, str, str]]:
        with self.engine.begin() as connection:
            rows = connection.execute(text("SELECT name, status, description FROM health_events ORDER BY id")).all()
            connection.execute(text("DELETE FROM health_events"))
            connection.execute(text("DELETE FROM conditions"))
        return [tuple(row) for row in rows]


def sweep(struck: Struck, injector: ErrorInjector, *, least: int) -> None:
    struck.again()
    struck.attempt(struck.take("whole"))
    points = list(injector.called)
    struck.events()
    assert len(points) >= least, points
    for number, point in enumerate(points):
        struck.again()
        claim = struck.take(f"run-{number}")
        injector.victim = point
        with pytest.raises(UnexpectedError, match="An unexpected error in this program: MadeUpError") as raised:
            struck.attempt(claim)
        assert injector.victim == "", f"{point} was not reached"
        assert raised.value.retry_in is None
        assert "secret" not in str(raised.value)
        assert struck.holders() == 0, point
        ((name, status, description),) = struck.events()
        assert (name, status) == ("FirstPartyGenericError", "UnHealthy"), point
        assert "MadeUpError" in description
        claim = struck.take(f"run-{number}-next")
        assert claim is not None or struck.is_done(), point
        if claim is not None:
            struck.attempt(claim)
        assert struck.holders() == 0, point


def empty(connection: Connection, also: str) -> None:
    """The store without the events of its streams."""
    for table in ("late_or_missed", "hourly_counts", "chain", "events"):
        connection.execute(text(f"DELETE FROM {table}"))
    unlinked = "events = 0, link = 0, link_digest = NULL, link_id = NULL, undecided = 0"
    connection.execute(text(f"UPDATE streams SET {unlinked}, {also}"))


@pytest.fixture
def block(store_url: str, engine: Engine, server: SandboxProcess) -> Iterator[OnePasswordSource]:
    credentials = OnePasswordCredentials(base_url=server.base_url, api_token=SecretStr(server.token))
    new_block = OnePasswordSource(
        name=SOURCE.name,
        credentials=credentials,
        supported_apis=["sign-in", "itemUsage", "audit"],
        collect_from="30d",
        store=EventStore(url=SecretStr(store_url)),
        source_id=SOURCE.id,
    )
    sources.save(engine, replace(opened.source_record(new_block), fields={"_siemForward": True}))
    opened._ids[SOURCE.name] = SOURCE.id
    opened._of_source[SOURCE.id] = engine
    with disable_run_logger():
        yield new_block
    del opened._ids[SOURCE.name], opened._of_source[SOURCE.id]


def test_collect(
    engine: Engine, block: OnePasswordSource, injector: ErrorInjector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "shared_source", lambda _: block)
    monkeypatch.setattr(session, "open_store", lambda _: engine)

    def take(run: str) -> Any:
        return streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], run)

    def again() -> None:
        """As if nothing was collected: so a first request, pages and a drain are all in each attempt."""
        with engine.begin() as connection:
            empty(connection, "cursor = NULL, drained_ns = NULL")

    struck = Struck(engine, take, lambda claim: collect.collect_stream.fn(SOURCE.name, claim), "streams", again)
    sweep(struck, injector, least=25)


def test_a_window(
    engine: Engine, block: OnePasswordSource, injector: ErrorInjector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_window, "load_source", lambda _: block)
    monkeypatch.setattr(session, "open_store", lambda _: engine)
    now_ns = clock.now_ns()
    job = jobs.start(engine, JobRequest(RECONCILE, SOURCE.id, (Api.AUDIT,), now_ns - 2 * DAY, now_ns), 10 * DAY)

    def again() -> None:
        with engine.begin() as connection:
            empty(connection, "newest_ns = NULL")
            connection.execute(text("UPDATE windows SET cursor = NULL, done_ns = NULL"))

    struck = Struck(
        engine,
        lambda run: windows.acquire(engine, job.id, run),
        lambda claim: read_window.read_window.fn(SOURCE.name, claim),
        "windows",
        again,
    )
    sweep(struck, injector, least=20)


def test_forward(
    engine: Engine, block: OnePasswordSource, injector: ErrorInjector, monkeypatch: pytest.MonkeyPatch
) -> None:
    siem = Webhook(url=SecretStr("http://127.0.0.1:9/"))
    monkeypatch.setattr(Webhook, "get_sender", lambda _: FakeSender())
    monkeypatch.setattr(forward, "source_store", lambda _: engine)
    monkeypatch.setattr(forward, "load_siem", lambda *_: siem)
    monkeypatch.setattr(collect, "shared_source", lambda _: block)
    monkeypatch.setattr(session, "open_store", lambda _: engine)
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    collect.collect_stream.fn(SOURCE.name, claim)
    injector.called.clear()
    record, _ = forward_pairs.save(engine, SOURCE.id, SIEM, "webhook", {}, "first")

    def take(run: str) -> Any:
        view = {one.api: one for one in positions.of_pair(engine, record.id)}[Api.AUDIT]
        return positions.acquire(engine, view, run)

    def again() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE positions SET acknowledged_id = 0, in_flight = NULL"))

    def attempt(claim: Any) -> object:
        return forward.forward_stream.fn(SOURCE.name, SOURCE.id, "webhook", claim)

    sweep(Struck(engine, take, attempt, "positions", again), injector, least=10)


def test_where_the_error_is_in_the_recording_itself_the_claim_is_released_all_the_same(
    engine: Engine, block: OnePasswordSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, calls = streams.stop, []

    def raise_first(*arguments: Any, **named: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise MadeUpError
        stop(*arguments, **named)

    def broken(_: str) -> OnePasswordSource:
        raise MadeUpError

    monkeypatch.setattr(collect, "shared_source", broken)
    monkeypatch.setattr(streams, "stop", raise_first)
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    with pytest.raises(UnexpectedError):
        collect.collect_stream.fn(SOURCE.name, claim)
    assert streams.get(engine, claim.stream_id).holder is None


def test_a_lost_claim_is_no_error(engine: Engine, block: OnePasswordSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "shared_source", lambda _: block)
    monkeypatch.setattr(session, "open_store", lambda _: engine)
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.restart(engine, SOURCE.id)
    with pytest.raises(ClaimLostError):
        collect.collect_stream.fn(SOURCE.name, claim)
    assert issubclass(UnexpectedError, SourceError)
