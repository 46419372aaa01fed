"""The final state of a run says what came of it, and can be read back; what cannot be set stops no run."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.objects import State, StateType

from tasks import run_state
from tasks.run_state import conclude, final_state, outcome_of
from tasks.support import stopping
from tasks.verdict import STOPPED, Verdict

FAILED = Verdict("ThirdPartyConfigError", "The token was rejected.")
DONE = Verdict("Collected", "2 new events: sign-in 2.")


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[State[Any]]:
    """The running states that were set on the flow run."""
    found: list[State[Any]] = []
    monkeypatch.setattr(run_state, "_set", found.append)
    return found


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (DONE, StateType.COMPLETED),
        (FAILED, StateType.FAILED),
        (Verdict(STOPPED, "You stopped it."), StateType.CANCELLED),
    ],
)
def test_a_verdict_becomes_one_of_prefects_own_states_and_is_read_back(verdict: Verdict, kind: StateType) -> None:
    state = final_state(verdict)
    assert (state.type, state.message) == (kind, f"{verdict.name}: {verdict.message}")
    assert outcome_of(state) == verdict


def test_of_a_state_that_prefect_has_set_the_name_and_the_message_are_read() -> None:
    crashed = State[None](type=StateType.CRASHED, name="Crashed", message="the process has ended")
    assert outcome_of(crashed) == Verdict("Crashed", "the process has ended")
    assert outcome_of(State[None](type=StateType.PENDING, name="Pending")) == Verdict("Pending", "")


def test_a_message_of_several_lines_is_read_whole() -> None:
    verdict = Verdict("Collected", "one\ntwo: three")
    assert outcome_of(final_state(verdict)) == verdict


def test_an_error_is_set_as_a_state_of_its_own_before_the_end(states: list[State[Any]]) -> None:
    assert conclude(FAILED).type == StateType.FAILED
    assert [(state.type, state.name, state.message) for state in states] == [
        (StateType.RUNNING, "Error", "ThirdPartyConfigError: The token was rejected.")
    ]
    states.clear()
    assert conclude(DONE).type == StateType.COMPLETED
    assert states == []


def test_an_error_after_a_stop_request_is_a_stop(states: list[State[Any]]) -> None:
    stopping.requested.set()
    try:
        state = conclude(FAILED)
    finally:
        stopping.requested.clear()
    assert (state.type, outcome_of(state).name, states) == (StateType.CANCELLED, STOPPED, [])
    assert state.message == f"{STOPPED}: The token was rejected."


def test_the_last_steps_have_their_time_and_the_process_ends_with_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, states: list[State[Any]]
) -> None:
    ended: list[object] = []
    monkeypatch.setattr(run_state.os, "_exit", ended.append)
    monkeypatch.setattr(run_state, "_end", lambda verdict: ended.append(verdict.name))
    monkeypatch.setattr(stopping, "exit_hook", lambda name, message: (name, message))
    monkeypatch.setattr(stopping, "exit_seconds", 60.0)
    run_state.exit_now(FAILED, lambda: ended.append("step"))
    assert {*ended[:2]} == {"ThirdPartyConfigError", "step"}
    assert ended[2] == (FAILED.name, FAILED.message)
