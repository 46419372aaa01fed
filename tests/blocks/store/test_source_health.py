"""The one word for a source's health, and since when it has it: which of several states wins, at its edges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import SOURCE

from blocks.health import ERROR, NOT_RUNNING, WARNING
from blocks.store import sources
from blocks.store.source_health import STATES, health, health_since_ns, judged_sources
from blocks.store.source_status import OpenCondition, SourceStatus, StreamStatus

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

STREAM = StreamStatus(
    id=1,
    api="audit",
    events=0,
    quarantined=0,
    newest_ns=None,
    cursor_ns=None,
    progress_ns=None,
    drained_ns=None,
    claim_expires_ns=None,
    failing_since_ns=None,
    error_type=None,
    error_message=None,
    stopped=False,
)
HEALTHY = SourceStatus("1", "1Pass", "", None, "Collected", 50, "", None, (STREAM,), recovered_ns=40)
RETRYING = replace(STREAM, failing_since_ns=30)
STOPPED = replace(STREAM, failing_since_ns=20, stopped=True)


def condition(name: str, severity: str, since_ns: int) -> OpenCondition:
    return OpenCondition(name, name, severity, "", None, since_ns)


SILENT = condition(NOT_RUNNING, WARNING, 25)


@pytest.mark.parametrize(
    ("source", "expected", "since_ns"),
    [
        (HEALTHY, "healthy", 40),
        (replace(HEALTHY, recovered_ns=None), "healthy", None),
        (replace(HEALTHY, state="", state_ns=None), "not run yet", None),
        (replace(HEALTHY, streams=()), "healthy", 40),
        (replace(HEALTHY, streams=(STREAM, RETRYING)), "retrying", 30),
        (replace(HEALTHY, streams=(STREAM, STOPPED)), "in error", 20),
        (replace(HEALTHY, state="ThirdPartyConfigError"), "in error", 50),
        (replace(HEALTHY, open=(SILENT,)), "not running", 25),
        (replace(HEALTHY, open=(condition("Lag", WARNING, 5),)), "healthy", 40),
        (replace(HEALTHY, paused_ns=60), "stopped", 60),
        (replace(HEALTHY, deleted_ns=70), "deleted", 70),
    ],
)
def test_each_state_has_a_word_and_a_time(source: SourceStatus, expected: str, since_ns: int | None) -> None:
    assert (health(source), health_since_ns(source)) == (expected, since_ns)


def test_of_several_states_the_one_that_explains_the_others_wins() -> None:
    everything = replace(
        HEALTHY, streams=(STOPPED, RETRYING), open=(SILENT,), state="FirstPartyGenericError", paused_ns=1, deleted_ns=2
    )
    order = []
    for without in (
        {"deleted_ns": None},
        {"paused_ns": None},
        {"state": "Collected", "streams": (RETRYING,)},
        {"open": ()},
        {"streams": (STREAM,)},
    ):
        order.append(health(everything))
        everything = replace(everything, **without)
    assert [*order, health(everything)] == ["deleted", "stopped", "in error", "not running", "retrying", "healthy"]


def test_an_error_is_as_old_as_the_first_failure_or_the_first_open_error() -> None:
    failing = replace(HEALTHY, streams=(replace(STOPPED, failing_since_ns=30), RETRYING, STREAM))
    assert health_since_ns(failing) == 30
    assert health_since_ns(replace(failing, open=(condition("error", ERROR, 9),))) == 9
    assert health_since_ns(replace(failing, open=(condition("Lag", WARNING, 9),))) == 30, "a warning is no error"
    assert health_since_ns(replace(failing, open=(condition("error", ERROR, 99),))) == 30


@given(
    st.builds(
        replace,
        st.just(HEALTHY),
        streams=st.lists(st.sampled_from([STREAM, RETRYING, STOPPED]), max_size=3).map(tuple),
        open=st.lists(st.sampled_from([SILENT, condition("Lag", WARNING, 1)]), max_size=2).map(tuple),
        state_ns=st.none() | st.just(50),
        paused_ns=st.none() | st.just(60),
        deleted_ns=st.none() | st.just(70),
    )
)
def test_every_source_has_one_of_the_documented_states(source: SourceStatus) -> None:
    assert health(source) in STATES


def test_sources_are_judged_from_their_runs_and_deleted_ones_are_left_out(engine: Engine, moving: MovingClock) -> None:
    sources.save(engine, SOURCE)
    moving.advance(86_400)
    (source,) = judged_sources(engine)
    assert (health(source), health_since_ns(source)) == ("not running", source.open[0].since_ns)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sources SET deleted_ns = 5")
    assert judged_sources(engine) == []
    assert [health(one) for one in judged_sources(engine, with_deleted=True)] == ["deleted"]
    assert [health(one) for one in judged_sources(engine, SOURCE.name)] == ["deleted"]
