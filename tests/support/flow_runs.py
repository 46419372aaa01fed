"""A source on a real, temporary Prefect server with a password, and a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from support.moving_clock import MovingClock

from blocks import clock
from blocks.events_api.models import Api
from blocks.prefect_names import block_name
from blocks.store import source_status
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State
    from sqlalchemy import Engine

    from deployments.sandbox.process import SandboxProcess


class QuickClock(MovingClock):
    """A clock that advances by each requested wait at once, without a test that moves it, and records the waits."""

    def __init__(self) -> None:
        import time

        super().__init__(time.time_ns())
        self.waits: list[float] = []

    def engine_delay(self, seconds: float) -> float:
        self.waits.append(seconds)
        self.advance(seconds)
        return 0.001


@dataclass
class Source:
    """The source of one test: its blocks are saved on the server, its store is empty."""

    name: str
    url: str
    sandbox: SandboxProcess

    @property
    def id(self) -> str:
        return f"{abs(hash(self.name)):032x}"

    def save(self, **members: Any) -> None:
        from blocks.events_api.credentials import OnePasswordCredentials
        from blocks.source import OnePasswordSource
        from blocks.store.block import EventStore

        token = members.pop("token", self.sandbox.token)
        base_url = members.pop("base_url", self.sandbox.base_url)
        credentials = OnePasswordCredentials(base_url=base_url, api_token=SecretStr(token))
        credentials.save(block_name(self.name), overwrite=True)
        store = EventStore(url=SecretStr(self.url))
        store.save(block_name(self.name), overwrite=True)
        apis = members.pop("supported_apis", ["sign-in", "itemUsage", "audit"])
        block = OnePasswordSource(
            name=self.name,
            credentials=credentials,
            supported_apis=apis,
            collect_from="30d",
            store=store,
            source_id=self.id,
            **members,
        )
        block.save(block_name(self.name), overwrite=True)

    def collect(self) -> State[Any]:
        from flows.collect import collect

        state: State[Any] = collect(self.name, return_state=True)
        return state

    def status(self) -> source_status.SourceStatus:
        engine = self.engine()
        try:
            return source_status.sources(engine, self.name)[0]
        finally:
            engine.dispose()

    def engine(self) -> Engine:
        return source_status.open_store(self.url)

    def request_count(self, part: str = "/api/v2/") -> int:
        """The number of requests whose endpoint has `part` in it, without introspections."""
        counts = self.sandbox.requests()["endpoints"]
        return sum(each["requests"] for name, each in counts.items() if part in name and "introspect" not in name)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickClock:
    own = QuickClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Source]:
    with running_sandbox(events=300, days=3) as sandbox:
        made = Source(f"1Pass {request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        made.save()
        yield made


def outcome(state: State[Any]) -> str:
    """The outcome in the message of a final state. The state itself has one of Prefect's own names, for its pages."""
    from tasks.run_state import outcome_of

    assert state.name in {"Completed", "Failed", "Cancelled"}, state
    return outcome_of(state).name


def history(state: State[Any]) -> list[str]:
    """The names of all states of the flow run that ended in this state, oldest first."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(state.state_details.flow_run_id)
    return [one.name for one in states]


def query_store(source: Source, query: str) -> list[tuple[Any, ...]]:
    engine = source.engine()
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def bodies(source: Source) -> list[tuple[str, str]]:
    return sorted(query_store(source, "SELECT api, body FROM events JOIN streams ON streams.id = stream_id"))  # type: ignore[arg-type]


def truth(source: Source, **span: str) -> list[tuple[str, str]]:
    return sorted((api, body.decode()) for api in Api for body in source.sandbox.events(api.path, "v2", **span))


def artifacts(source: Source, prefix: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"{prefix}{block_name(source.name)}"]))
    with get_client(sync_client=True) as client:
        return list(client.read_artifacts(artifact_filter=wanted))
