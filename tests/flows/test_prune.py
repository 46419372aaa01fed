"""The flow of retention against a real Prefect server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.flow_runs import outcome
from support.values import SOURCE

from blocks.store import prune as retention
from blocks.store import schema, source_status, sources
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import State
    from support.flow_runs import QuickClock

pytestmark = pytest.mark.prefect

DAY_NS = 86_400 * 10**9


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with three old events and one of today."""
    path = tmp_path / "events.db"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{path}")
    engine = open_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    sources.save(engine, SOURCE)
    insert = text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, :t, '{}')")
    with engine.begin() as connection:
        for stream, age in ((1, 500), (1, 600), (3, 500), (3, 0)):
            values = {"s": stream, "u": f"U{age}", "t": time.time_ns() - age * DAY_NS}
            connection.execute(insert, values)
        connection.execute(text("UPDATE streams SET events = 2 WHERE id <> 2"))
    engine.dispose()
    return path


def run_prune(older_than: str, source: str | None = None) -> State[Any]:
    from flows.prune import prune

    state: State[Any] = prune(older_than, source, return_state=True)
    return state


def left(path: Path) -> dict[str, tuple[int, int]]:
    engine = source_status.open_store(f"sqlite:///{path}")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT api, events, pruned FROM streams")).all()
    engine.dispose()
    return {row.api: (row.events, row.pruned) for row in rows}


def test_it_removes_what_is_old_and_says_how_much(path: Path) -> None:
    state = run_prune("400d", "1Pass")
    assert (outcome(state), state.type.value) == ("Pruned", "COMPLETED")
    assert state.message == "Pruned: 3 events older than 400d removed."
    assert left(path) == {"sign-in": (0, 2), "itemUsage": (0, 0), "audit": (1, 1)}
    assert run_prune("400d", SOURCE.id).message == "Pruned: 0 events older than 400d removed."


@pytest.mark.parametrize(("older_than", "source"), [("90d", None), ("400d", "Missing")])
def test_a_wrong_parameter_is_a_configuration_error(path: Path, older_than: str, source: str | None) -> None:
    state = run_prune(older_than, source)
    assert (outcome(state), state.type.value) == ("ThirdPartyConfigError", "FAILED")
    assert left(path)["audit"] == (2, 0)


def test_a_store_that_does_not_answer_is_retried(
    path: Path, quick: QuickClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks.errors import FirstPartyGenericError

    whole, attempts = retention._remove, []

    def remove(*arguments: Any) -> int:
        attempts.append(arguments)
        if len(attempts) == 1:
            raise FirstPartyGenericError("The store did not answer: locked.", code="store")
        return whole(*arguments)

    monkeypatch.setattr(retention, "_remove", remove)
    assert run_prune("400d").message == "Pruned: 3 events older than 400d removed."
    assert quick.waits == [60]
    assert left(path)["audit"] == (1, 1)
