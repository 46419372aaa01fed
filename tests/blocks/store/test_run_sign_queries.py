"""The rows of sources and streams, read as signs of life, and whether stored conditions differ from judged ones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.health import WARNING, Condition
from blocks.liveness import RUNS, Judgement, Signs, StreamSigns
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.run_sign_queries import differs, signs_of, values_of

ROW = {
    "id": "1" * 32,
    "name": "1Pass",
    "created_ns": 10,
    "due_ns": None,
    "state": "Collected",
    "state_ns": 20,
    "lag_after": "1h",
    "paused_ns": None,
    "apis": '["sign-in", "audit"]',
    "fingerprint": "now",
    "api": "audit",
    "claim_renewed_ns": 30,
    "claim_expires_ns": 40 + CLAIM_NS,
    "holder": "run",
    "progress_ns": 50,
    "drained_ns": 60,
    "error_ns": None,
    "failing_since_ns": None,
    "stopped_fingerprint": None,
}


def row(**members: Any) -> SimpleNamespace:
    return SimpleNamespace(**(ROW | members))


def test_no_rows_are_no_sources() -> None:
    assert signs_of([]) == []


def test_a_source_and_its_stream() -> None:
    stream = StreamSigns("audit", renewed_ns=30, waits_until_ns=40, progress_ns=50, drained_ns=60)
    assert signs_of([row()]) == [
        Signs("1" * 32, "1Pass", 10, "Collected", 20, lag_after="1h", paused=False, streams=(stream,))
    ]


def test_sources_keep_the_order_of_their_rows_and_have_their_own_streams() -> None:
    rows = [row(id="b"), row(id="b", api="sign-in"), row(id="a"), row(id="c", api=None)]
    assert [(one.source_id, [stream.api for stream in one.streams]) for one in signs_of(rows)] == [
        ("b", ["audit", "sign-in"]),
        ("a", ["audit"]),
        ("c", []),
    ]


def test_a_stream_that_is_not_collected_any_more_is_left_out() -> None:
    assert signs_of([row(api="itemUsage")])[0].streams == ()


@pytest.mark.parametrize(("due_ns", "expected"), [(None, 10), (70, 70)])
def test_runs_are_due_since_the_source_was_applied_or_started(due_ns: int | None, expected: int) -> None:
    assert signs_of([row(due_ns=due_ns)])[0].due_ns == expected


def test_a_paused_source_is_paused() -> None:
    assert [signs_of([row(paused_ns=ns)])[0].paused for ns in (None, 0, 5)] == [False, True, True]


@pytest.mark.parametrize(
    ("members", "in_error", "stopped"),
    [
        ({}, False, False),
        ({"failing_since_ns": 5}, True, False),
        ({"stopped_fingerprint": "now"}, True, True),
        ({"stopped_fingerprint": "before"}, False, False),
        ({"stopped_fingerprint": "before", "failing_since_ns": 5}, True, False),
        ({"stopped_fingerprint": None, "fingerprint": None}, False, False),
    ],
)
def test_a_stream_is_stopped_while_the_configuration_is_the_one_that_failed(
    members: dict[str, Any], in_error: bool, stopped: bool
) -> None:
    (stream,) = signs_of([row(**members)])[0].streams
    assert (stream.in_error, stream.stopped) == (in_error, stopped)


def test_without_a_holder_no_run_waits() -> None:
    (stream,) = signs_of([row(holder=None, claim_expires_ns=None)])[0].streams
    assert stream.waits_until_ns is None


def test_values_are_those_of_a_source_and_a_tracker() -> None:
    opened = [
        SimpleNamespace(source_id="a", tracker="runs", value="x"),
        SimpleNamespace(source_id="b", tracker="runs", value="y"),
    ]
    assert values_of(opened) == {("a", "runs"): "x", ("b", "runs"): "y"}
    assert values_of([]) == {}


ACTIVE = Condition(RUNS, "NotRunning", WARNING, "", value="Warning")
ENDED = Condition("lag/audit", "Recovered", WARNING, "")


def judgement(*active: Condition, ended: tuple[Condition, ...] = ()) -> Judgement:
    return Judgement(signs_of([row(id="a")])[0], active=active, ended=ended)


@pytest.mark.parametrize(
    ("judged", "values", "expected"),
    [
        (judgement(), {}, False),
        (judgement(ACTIVE), {}, True),
        (judgement(ACTIVE), {("a", RUNS): "Warning"}, False),
        (judgement(ACTIVE), {("a", RUNS): "Error"}, True),
        (judgement(ACTIVE), {("b", RUNS): "Warning"}, True),
        (judgement(ended=(ENDED,)), {}, False),
        (judgement(ended=(ENDED,)), {("a", "lag/audit"): ""}, True),
        (judgement(ended=(ENDED,)), {("b", "lag/audit"): ""}, False),
        (judgement(ACTIVE, replace(ACTIVE, tracker="lag/audit")), {("a", RUNS): "Warning"}, True),
        (judgement(), {("a", RUNS): "Warning"}, False),
    ],
)
def test_conditions_differ_if_one_is_to_begin_to_change_or_to_end(
    judged: Judgement, values: dict[tuple[str, str], str], expected: bool
) -> None:
    assert differs(judged, values) is expected


@given(st.lists(st.sampled_from([RUNS, "lag/audit", "lag/sign-in"]), unique=True))
def test_what_was_written_does_not_differ(trackers: list[str]) -> None:
    active = [replace(ACTIVE, tracker=tracker) for tracker in trackers]
    ended = tuple(replace(ENDED, tracker=one) for one in (RUNS, "lag/audit", "lag/sign-in") if one not in trackers)
    assert not differs(judgement(*active, ended=ended), {("a", one.tracker): one.value for one in active})
