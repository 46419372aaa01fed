"""Whether the runs of a source work, judged from what they left: times in seconds after `NOW`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blocks.health import ERROR, WARNING
from blocks.liveness import CLOCK_NS, GRAVE_NS, RUNS, SILENT_NS, Judgement, Signs, StreamSigns, judge

SECOND = 10**9
HOUR = 3600 * SECOND
NOW = 1_795_000_000 * SECOND
SIGNS = Signs("id", "1Pass", NOW - 24 * HOUR, "Collecting", NOW - SECOND, "1h", paused=False, streams=())
STREAM = StreamSigns("audit", drained_ns=NOW - SECOND)


def signs(*streams: StreamSigns, **members: Any) -> Signs:
    return replace(SIGNS, streams=streams, **members)


def active(judgement: Judgement) -> dict[str, str]:
    return {condition.tracker: condition.severity for condition in judgement.active}


def ended(judgement: Judgement) -> set[str]:
    return {condition.tracker for condition in judgement.ended}


def test_a_source_whose_runs_work_ends_both_conditions() -> None:
    judgement = judge(signs(STREAM), NOW)
    assert (active(judgement), ended(judgement)) == ({}, {RUNS, "lag/audit"})
    assert judgement.is_running


@pytest.mark.parametrize(
    ("silent_ns", "severity"),
    [(SILENT_NS, None), (SILENT_NS + 1, WARNING), (GRAVE_NS, WARNING), (GRAVE_NS + 1, ERROR)],
)
def test_silence_is_a_warning_after_two_ticks_and_an_error_after_an_hour(silent_ns: int, severity: str | None) -> None:
    judgement = judge(signs(state_ns=NOW - silent_ns), NOW)
    assert active(judgement).get(RUNS) == severity
    assert judgement.is_running is (severity is None)


@pytest.mark.parametrize("member", ["progress_ns", "drained_ns", "error_ns", "renewed_ns"])
def test_each_trace_of_a_run_is_a_sign_of_life(member: str) -> None:
    stream = StreamSigns("audit", **{member: NOW - SECOND})
    assert signs(stream, state_ns=NOW - HOUR).seen_ns(NOW) == NOW - SECOND


def test_a_run_that_waits_for_its_next_attempt_works() -> None:
    stream = StreamSigns("audit", renewed_ns=NOW - HOUR, waits_until_ns=NOW + HOUR)
    assert signs(stream, state_ns=NOW - HOUR).seen_ns(NOW) == NOW
    stream = StreamSigns("audit", renewed_ns=NOW - HOUR, waits_until_ns=NOW - HOUR // 2)
    assert signs(stream, state_ns=NOW - HOUR).seen_ns(NOW) == NOW - HOUR // 2


def test_a_time_ahead_counts_only_as_far_as_clocks_differ() -> None:
    assert signs(state_ns=NOW + CLOCK_NS).seen_ns(NOW) == NOW + CLOCK_NS
    assert signs(state_ns=NOW + CLOCK_NS + 1).seen_ns(NOW) is None


def test_after_the_clock_was_set_back_nothing_is_judged_until_runs_were_watched() -> None:
    ahead = signs(state_ns=NOW + HOUR)
    assert judge(ahead, NOW) == Judgement(ahead)
    assert active(judge(ahead, NOW, watched_ns=NOW - SILENT_NS - 1)) == {RUNS: WARNING}


def test_what_was_missed_before_runs_could_begin_is_no_sign() -> None:
    silent = signs(state_ns=NOW - 2 * HOUR)
    assert RUNS not in active(judge(silent, NOW, watched_ns=NOW - SILENT_NS))
    assert active(judge(silent, NOW, watched_ns=NOW - SILENT_NS - 1)) == {RUNS: ERROR}


def test_a_source_that_never_ran_has_an_hour_unless_it_is_watched() -> None:
    new = signs(state_ns=None, due_ns=NOW - SILENT_NS - 1)
    assert active(judge(new, NOW)) == {}
    assert active(judge(new, NOW, watched_ns=0)) == {RUNS: WARNING}
    (condition,) = judge(replace(new, due_ns=NOW - GRAVE_NS - 1), NOW).active
    assert condition.description.startswith("No run of this source has begun since ")


@pytest.mark.parametrize(
    "final",
    [
        signs(paused=True),
        signs(state="ThirdPartyConfigError"),
        signs(StreamSigns("audit", stopped=True), StreamSigns("sign-in", stopped=True)),
    ],
)
def test_no_run_of_a_source_that_was_stopped_is_due(final: Signs) -> None:
    judgement = judge(replace(final, state_ns=NOW - 24 * HOUR), NOW)
    assert (active(judgement), ended(judgement)) == ({}, {RUNS})


def test_one_api_that_was_stopped_leaves_the_others_due() -> None:
    stopped = StreamSigns("audit", stopped=True, in_error=True)
    assert not signs(stopped, StreamSigns("sign-in")).is_final
    assert not signs().is_final


@pytest.mark.parametrize(("lag_ns", "late"), [(HOUR, False), (HOUR + 1, True)])
def test_an_api_is_late_after_the_bound_of_its_source(lag_ns: int, *, late: bool) -> None:
    judgement = judge(signs(replace(STREAM, drained_ns=NOW - lag_ns)), NOW)
    assert ("lag/audit" in active(judgement), "lag/audit" in ended(judgement)) == (late, not late)


@pytest.mark.parametrize(
    "members",
    [
        {"in_error": True, "drained_ns": NOW - 9 * HOUR},
        {"drained_ns": None},
        {"drained_ns": NOW + HOUR},
    ],
)
def test_the_lag_of_an_api_in_error_or_never_read_or_read_in_the_future_is_not_judged(members: dict[str, Any]) -> None:
    judgement = judge(signs(StreamSigns("audit", **members)), NOW)
    assert "lag/audit" not in {*active(judgement), *ended(judgement)}


def test_a_lag_counts_from_when_runs_were_due_or_watched() -> None:
    late = replace(STREAM, drained_ns=NOW - 9 * HOUR)
    assert active(judge(signs(late, due_ns=NOW - HOUR), NOW)) == {}
    assert active(judge(signs(late), NOW, watched_ns=NOW - HOUR)) == {}
    assert active(judge(signs(late), NOW)) == {"lag/audit": WARNING}


def test_no_bound_is_never_late_and_a_wrong_one_is_the_default() -> None:
    late = replace(STREAM, drained_ns=NOW - 9 * HOUR)
    assert active(judge(signs(late, lag_after="off"), NOW)) == {}
    assert active(judge(signs(late, lag_after="soon"), NOW)) == {"lag/audit": WARNING}
