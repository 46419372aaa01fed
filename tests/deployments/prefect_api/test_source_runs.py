"""The runs of a source: stopped in time or revoked, created one after the other, and moved to another name."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from support.prefect_client import give_client
from support.values import SOURCE

from blocks.errors import ClaimLostError, FirstPartyGenericError
from blocks.store import streams
from deployments.prefect_api import source_runs

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
IDS = {name: UUID(int=number) for number, name in enumerate(("1Pass", "two", "three"), 1)}
NO_DEPLOYMENT = (
    "There is no deployment of 'missing' on the Prefect server. Apply its file again. `onepassword-source export` "
    "writes that file."
)


@dataclass
class Client:
    """A Prefect server's client that keeps what it receives. `runs` are those that there are."""

    runs: list[Any] = field(default_factory=list)
    created: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)
    cancelled: list[tuple[UUID, str]] = field(default_factory=list)
    changed: list[tuple[str, UUID]] = field(default_factory=list)
    requested: list[tuple[int, int]] = field(default_factory=list)

    def create_flow_run_from_deployment(self, deployment: UUID, **values: Any) -> Any:
        self.created.append((deployment, values))
        return SimpleNamespace(id=UUID(int=100 + len(self.created)))

    def read_flow_runs(self, *, deployment_filter: Any, flow_run_filter: Any, limit: int, offset: int) -> list[Any]:
        assert flow_run_filter.state.type.any_
        ids = deployment_filter.id.any_
        self.requested.append((len(ids), offset))
        return [run for run in self.runs if run.deployment_id in ids][offset : offset + limit]

    def set_flow_run_state(self, run: UUID, state: Any) -> None:
        assert state.is_cancelled()
        self.cancelled.append((run, state.message))

    def pause_deployment(self, deployment: UUID) -> None:
        self.changed.append(("pause", deployment))

    def resume_deployment(self, deployment: UUID) -> None:
        self.changed.append(("resume", deployment))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client of a server with a deployment of each source in IDS."""
    made = give_client(monkeypatch, source_runs, Client())
    there = {name: SimpleNamespace(id=number, paused=name == "two") for name, number in IDS.items()}
    monkeypatch.setattr(source_runs, "datetime", SimpleNamespace(now=lambda _: NOW))
    monkeypatch.setattr(source_runs, "parallel_requests", lambda: 1)
    monkeypatch.setattr(
        source_runs, "find_deployments", lambda _, names: {name: there[name] for name in names if name in there}
    )
    monkeypatch.setattr(source_runs, "find_deployment", lambda _, name: there.get(name))
    return made


def seconds_until(state: Any) -> float:
    """In how many seconds a run is to begin."""
    seconds: float = (state.state_details.scheduled_time - NOW).total_seconds()
    return seconds


# Runs that are to end


@SQLITE
def test_a_source_without_runs_is_stopped_at_once(engine: Engine, source: SourceRecord, moving: MovingClock) -> None:
    assert source_runs.stop_runs(engine, SOURCE.id, 0)


@SQLITE
def test_runs_that_end_in_time_are_waited_for(
    engine: Engine, claim: StreamClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            streams.release(engine, claim)

    monkeypatch.setattr(source_runs.time, "sleep", sleep)
    assert source_runs.stop_runs(engine, SOURCE.id)
    assert waited == [source_runs.POLL_SECONDS] * 3
    with engine.connect() as connection:
        assert connection.execute(text("SELECT stop_ns FROM sources")).scalar() is not None


@SQLITE
def test_runs_that_do_not_end_write_nothing_more(engine: Engine, claim: StreamClaim) -> None:
    assert not source_runs.stop_runs(engine, SOURCE.id, -1)
    with pytest.raises(ClaimLostError):
        streams.renew(engine, claim)


# New runs


def test_runs_of_several_sources_begin_one_after_the_other(client: Client) -> None:
    found = source_runs.create_runs(["two", "1Pass", "three"])
    assert list(found) == ["two", "1Pass", "three"]
    assert [deployment for deployment, _ in client.created] == [IDS["two"], IDS["1Pass"], IDS["three"]]
    assert [values["name"] for _, values in client.created] == ["collect two", "collect 1Pass", "collect three"]
    assert [seconds_until(values["state"]) for _, values in client.created] == [0, 1, 2]


def test_one_run_has_its_id(client: Client) -> None:
    assert source_runs.create_run("1Pass") == UUID(int=101)


def test_if_one_source_has_no_deployment_no_run_is_created(client: Client) -> None:
    with pytest.raises(FirstPartyGenericError) as raised:
        source_runs.create_runs(["1Pass", "missing", "no one"])
    assert (raised.value.code, str(raised.value)) == ("prefect", NO_DEPLOYMENT)
    assert client.created == []


def test_a_job_is_run_with_its_parameters(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[tuple[str, str]] = []

    def find_by_name(_: Client, flow: str, name: str) -> Any:
        requested.append((flow, name))
        return SimpleNamespace(id=IDS["two"]) if len(requested) == 1 else None

    monkeypatch.setattr(source_runs, "find_by_name", find_by_name)
    assert source_runs.create_job_run("backfill", "two", {"start": "7d"}) == UUID(int=101)
    assert client.created == [(IDS["two"], {"parameters": {"start": "7d"}, "name": "backfill two"})]
    with pytest.raises(FirstPartyGenericError) as raised:
        source_runs.create_job_run("backfill", "missing", {})
    assert str(raised.value) == NO_DEPLOYMENT
    assert requested == [("backfill", "two"), ("backfill", "missing")]


# Runs that are due


@dataclass
class Status:
    """What a store shows of a source, as far as it matters here."""

    name: str
    drained: tuple[float | None, ...]
    paused_ns: int | None = None
    stopped: bool = False

    @property
    def id(self) -> str:
        return f"id of {self.name}"

    @property
    def apis(self) -> tuple[str, ...]:
        return tuple(f"api-{number}" for number in range(len(self.drained)))

    @property
    def streams(self) -> list[Any]:
        """One for each API, and one of an API that it no longer has."""
        now_ns = source_runs.clock.now_ns()
        found = [
            SimpleNamespace(
                api=api, stopped=self.stopped, drained_ns=None if ago is None else now_ns - round(ago * 10**9)
            )
            for api, ago in zip(self.apis, self.drained, strict=True)
        ]
        return [*found, SimpleNamespace(api="former", stopped=False, drained_ns=None)]


TICK = 300


def due(monkeypatch: pytest.MonkeyPatch, *statuses: Status) -> list[str]:
    engine: Any = None
    monkeypatch.setattr(source_runs.source_status, "sources", lambda _: list(statuses))
    return source_runs.create_due_runs(engine)


@pytest.fixture
def far_ticks(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """In how many seconds the own tick of a source comes, by its id."""
    ticks: dict[str, float] = {}
    monkeypatch.setattr(
        source_runs, "COLLECT", SimpleNamespace(every=TICK, seconds_until=lambda source: ticks.get(source, 200.0))
    )
    return ticks


@pytest.mark.usefixtures("far_ticks")
@pytest.mark.parametrize(
    ("status", "runs"),
    [
        (Status("1Pass", (TICK + 1,)), 1),
        (Status("1Pass", (TICK,)), 0),
        (Status("1Pass", (1, TICK + 1)), 1),
        (Status("1Pass", (None, 1)), 1),
        (Status("1Pass", (1, 1)), 0),
        (Status("1Pass", (None,), paused_ns=5), 0),
        (Status("1Pass", (None,), stopped=True), 0),
        (Status("1Pass", ()), 0),
        (Status("missing", (None,)), 0),
    ],
    ids=["late", "in time", "one API", "never read", "read", "paused", "in error", "no API", "no deployment"],
)
def test_a_source_that_was_not_read_within_a_tick_gets_a_run(
    client: Client, monkeypatch: pytest.MonkeyPatch, moving: MovingClock, status: Status, runs: int
) -> None:
    assert due(monkeypatch, status) == ["1Pass"] * runs
    assert len(client.created) == runs


def test_if_nothing_is_due_nothing_is_requested(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_runs, "get_client", pytest.fail)
    assert due(monkeypatch, Status("1Pass", (1,))) == []


@pytest.mark.usefixtures("far_ticks")
def test_the_source_that_has_waited_longest_is_first(
    client: Client, monkeypatch: pytest.MonkeyPatch, moving: MovingClock
) -> None:
    found = due(monkeypatch, Status("1Pass", (1000,)), Status("two", (3000,)), Status("three", (2000,)))
    assert found == ["two", "three", "1Pass"]
    assert [seconds_until(values["state"]) for _, values in client.created] == [0, 1, 2]


def test_a_source_whose_own_tick_comes_first_gets_none(
    client: Client, monkeypatch: pytest.MonkeyPatch, moving: MovingClock, far_ticks: dict[str, float]
) -> None:
    far_ticks.update({"id of two": 0.0, "id of three": 0.9, "id of 1Pass": 1.0})
    found = due(monkeypatch, Status("1Pass", (1000,)), Status("two", (3000,)), Status("three", (2000,)))
    assert found == ["two", "1Pass"]


@pytest.mark.usefixtures("far_ticks")
def test_a_source_with_a_run_that_waits_gets_none(
    client: Client, monkeypatch: pytest.MonkeyPatch, moving: MovingClock
) -> None:
    client.runs = [SimpleNamespace(deployment_id=IDS["two"]), SimpleNamespace(deployment_id=None)]
    assert due(monkeypatch, Status("1Pass", (1000,)), Status("two", (3000,))) == ["1Pass"]


def test_runs_are_read_page_by_page_for_a_page_of_deployments_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_runs, "PAGE", 2)
    client.runs = [SimpleNamespace(deployment_id=IDS[name]) for name in ("1Pass", "1Pass", "two", "three")]
    found = source_runs._read_runs(client, list(IDS.values()), source_runs._waiting_filter())  # type: ignore[arg-type]
    assert found == client.runs
    assert client.requested == [(2, 0), (2, 2), (2, 3), (1, 0), (1, 1)]


# Schedules


@pytest.mark.parametrize(("paused", "verb"), [(True, "pause"), (False, "resume")])
def test_only_deployments_with_a_schedule_are_paused(
    client: Client, monkeypatch: pytest.MonkeyPatch, paused: bool, verb: str
) -> None:
    found = [SimpleNamespace(id=IDS["1Pass"], schedules=["s"]), SimpleNamespace(id=IDS["two"], schedules=[])]
    monkeypatch.setattr(source_runs, "deployments_of", lambda _, name: found if name == "1Pass" else [])
    assert source_runs.set_paused("1Pass", paused=paused)
    assert client.changed == [(verb, IDS["1Pass"])]
    assert not source_runs.set_paused("missing", paused=paused)


@pytest.mark.parametrize(("name", "paused"), [("1Pass", False), ("two", True), ("missing", False)])
def test_a_source_is_paused_if_its_deployment_is(client: Client, name: str, paused: bool) -> None:
    assert source_runs.is_paused(name) is paused


# Runs that wait


def waiting(name: str, minutes: float | None, *, planned: bool = False) -> Any:
    start = None if minutes is None else NOW + timedelta(minutes=minutes)
    return SimpleNamespace(
        id=uuid4(),
        deployment_id=IDS["1Pass"],
        name=name,
        auto_scheduled=planned,
        expected_start_time=start,
        parameters={"source": "1Pass", "apis": ["audit"]},
    )


def test_runs_that_wait_are_cancelled_with_the_reason(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.runs = [waiting("collect 1Pass", 1), waiting("backfill 1Pass", 1)]
    monkeypatch.setattr(source_runs, "deployments_of", lambda *_: [SimpleNamespace(id=IDS["1Pass"])])
    source_runs.cancel_waiting("1Pass", "It is stopped.")
    assert client.cancelled == [(run.id, "It is stopped.") for run in client.runs]


@pytest.mark.parametrize(
    ("minutes", "planned", "moved"),
    [(5, False, True), (-5, False, True), (-5, True, True), (0, True, True), (5, True, False), (None, True, True)],
    ids=["of a person", "of a person, due", "planned", "planned, now", "planned, later", "planned, without a time"],
)
def test_a_run_that_waits_goes_with_the_name_unless_the_other_deployment_plans_it(
    client: Client, minutes: float | None, planned: bool, moved: bool
) -> None:
    run = waiting("collect 1Pass of 1Pass", minutes, planned=planned)
    client.runs = [run]
    was, now = (SimpleNamespace(id=IDS[name]) for name in ("1Pass", "two"))
    source_runs.move_waiting(client, was, now, ("1Pass", "acme"))  # type: ignore[arg-type]
    assert client.cancelled == [(run.id, "The source is named acme now.")]
    assert len(client.created) == moved
    if moved:
        ((deployment, values),) = client.created
        assert deployment == IDS["two"]
        state = values.pop("state")
        assert values == {
            "parameters": {"source": "acme", "apis": ["audit"]},
            "name": "collect acme of 1Pass",
            "idempotency_key": f"renamed {run.id}",
        }
        assert run.expected_start_time in {None, state.state_details.scheduled_time}
