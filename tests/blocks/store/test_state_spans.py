"""Runs in a row that ended in one state are one span; a pause, or another state, begins another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.store import lifecycle, sources, state_spans

if TYPE_CHECKING:
    from sqlalchemy import Engine

TICK = 300


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> MovingClock:
    moved = MovingClock()
    monkeypatch.setattr(clock, "clock", moved)
    return moved


@pytest.fixture(autouse=True)
def _source(engine: Engine, at: MovingClock) -> None:
    sources.save(engine, SOURCE)


def report(engine: Engine, *states: str, run: str = "run") -> None:
    for state in states:
        sources.save_state(engine, SOURCE.id, state, f"{state}.", run)


def shown(engine: Engine, since_ns: int = 0) -> list[tuple[str, int]]:
    return [(span.state, span.runs) for span in state_spans.since(engine, SOURCE.id, since_ns)]


def test_healthy_runs_are_one_span(engine: Engine, at: MovingClock) -> None:
    begun = at.now_ns()
    for number in range(5):
        report(engine, "Started", "Initialized", "Authenticated", "Collecting", "Collected", run=f"run {number}")
        at.advance(TICK)
    (span,) = state_spans.since(engine, SOURCE.id, 0)
    assert (span.state, span.runs, span.first_run_id, span.last_run_id) == ("Collected", 5, "run 0", "run 4")
    assert (span.start_ns, span.end_ns) == (begun, begun + 4 * TICK * 10**9)


def test_an_error_and_its_end_are_spans_of_their_own(engine: Engine, at: MovingClock) -> None:
    for run, state in enumerate(["Collected", "ThirdPartyGenericError", "ThirdPartyGenericError", "Collected"]):
        report(engine, state, run=str(run))
        at.advance(TICK)
    assert shown(engine) == [("Collected", 1), ("ThirdPartyGenericError", 2), ("Collected", 1)]


def test_a_run_that_reports_its_end_twice_counts_once(engine: Engine) -> None:
    report(engine, "ThirdPartyConfigError", "ThirdPartyConfigError")
    assert shown(engine) == [("ThirdPartyConfigError", 1)]


def test_silence_between_two_runs_is_not_bridged(engine: Engine, at: MovingClock) -> None:
    report(engine, "Collected", run="before")
    at.advance(state_spans.PAUSE_NS / 1e9 + 1)
    report(engine, "Collected", run="after")
    assert shown(engine) == [("Collected", 1), ("Collected", 1)]


def test_a_clock_that_was_set_back_begins_another_span(engine: Engine, at: MovingClock) -> None:
    report(engine, "Collected", run="before")
    at.advance(-3600)
    report(engine, "Collected", run="after")
    assert [span.last_run_id for span in state_spans.since(engine, SOURCE.id, 0)] == ["after", "before"]


def test_spans_before_the_time_shown_are_left_out(engine: Engine, at: MovingClock) -> None:
    report(engine, "Collected")
    at.advance(86_400)
    report(engine, "Stopped", run="2")
    assert shown(engine, at.now_ns() - 3600 * 10**9) == [("Stopped", 1)]


def test_old_spans_go_when_another_begins(engine: Engine, at: MovingClock) -> None:
    report(engine, "Collected")
    at.advance(state_spans.KEPT_NS / 1e9 + 1)
    report(engine, "Collected", run="2")
    assert len(state_spans.since(engine, SOURCE.id, 0)) == 1


def test_a_deleted_source_gets_no_more(engine: Engine) -> None:
    found = lifecycle.find(engine, SOURCE.name)
    assert found
    lifecycle.finish_deletion(engine, found)
    report(engine, "Collected")
    assert shown(engine) == []
