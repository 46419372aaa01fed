"""Runs that lie too far ahead since the clock was set back are removed, and the server plans the next ones."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.one_machine import free_port, wait_until

from deployments.one_machine import planned_runs

if TYPE_CHECKING:
    from support.one_machine import RunningUp

FAR = "2150-01-01T00:00:00Z"
MORE = planned_runs.AT_ONCE + 10
"""More than are removed with one request."""


@pytest.mark.prefect
def test_runs_that_are_planned_too_far_ahead_are_removed_and_others_planned(
    running_up: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(running_up.data))
    now = datetime.now(UTC)
    running_up.plan("1Pass", FAR, MORE)
    path = f"/api/deployments/{running_up.deployment('1Pass')['id']}/create_flow_run"
    by_a_person = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": FAR}}}
    person = running_up.ask("POST", path, json=by_a_person).json()["id"]
    assert len(running_up.planned("1Pass", FAR)) == MORE + 1
    assert planned_runs.remove_misplaced(f"http://127.0.0.1:{running_up.port}/api", 30)
    assert [run["id"] for run in running_up.planned("1Pass", FAR)] == [person], "a person's own wish stays"
    running_up.ask("DELETE", f"/api/flow_runs/{person}")
    wait_until(lambda: len(running_up.planned("1Pass", now.isoformat())) == planned_runs.PLANNED, 120)
    soon = (now + timedelta(minutes=20)).isoformat()
    assert running_up.planned("1Pass", soon) == []


@pytest.mark.prefect
def test_a_tick_that_has_had_its_run_before_the_clock_was_set_back_is_planned_again(
    running_up: RunningUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(running_up.data))
    running_up.plan("1Pass", FAR, 2)
    first, second = (run["id"] for run in running_up.planned("1Pass", FAR))
    running_up.ask("POST", f"/api/flow_runs/{first}/set_state", json={"state": {"type": "COMPLETED"}, "force": True})
    running_up.plan("1Pass", FAR, 2)
    assert [run["id"] for run in running_up.planned("1Pass", FAR)] == [second], "Prefect plans no tick twice"
    assert planned_runs.remove_misplaced(f"http://127.0.0.1:{running_up.port}/api", 30)
    running_up.plan("1Pass", FAR, 2)
    assert len(running_up.planned("1Pass", FAR)) == 2
    assert planned_runs.remove_misplaced(f"http://127.0.0.1:{running_up.port}/api", 30)


def test_a_server_that_does_not_answer_is_waited_for_and_no_longer_than_that() -> None:
    before = time.monotonic()
    assert not planned_runs.remove_misplaced(f"http://127.0.0.1:{free_port()}/api", 1.5)
    assert time.monotonic() - before >= 1.5
