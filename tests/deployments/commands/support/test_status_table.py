"""The state of each API of a source: a table of 80 columns, and a record for `--json`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from support.moving_clock import START_NS

from blocks.store.source_status import SourceStatus, StreamStatus
from deployments.commands.support.status_table import stream_as_json, stream_table

if TYPE_CHECKING:
    from support.moving_clock import MovingClock

STREAM = StreamStatus(
    id=1,
    api="audit",
    events=1234,
    quarantined=0,
    newest_ns=START_NS - 60 * 10**9,
    cursor_ns=START_NS,
    progress_ns=START_NS,
    drained_ns=START_NS - 90 * 10**9,
    claim_expires_ns=None,
    failing_since_ns=None,
    error_type=None,
    error_message=None,
    stopped=False,
    lag_ns=1_234_567_890,
)
FAILING = replace(STREAM, failing_since_ns=START_NS - 10**9, error_ns=START_NS, failed_attempts=2)


def lines(*streams: StreamStatus) -> list[str]:
    source = SourceStatus("1", "1Pass", "", None, "", None, "", None, streams)
    console = Console(width=80, record=True, file=None)
    with console.capture() as captured:
        console.print(stream_table(source))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_for_each_api(moving: MovingClock) -> None:
    assert lines() == ["API state events newest event (UTC) event lag collector lag"]
    assert lines(STREAM)[1] == "audit ok 1,234 2026-09-21 14:12:20 1 s 90 s"


@pytest.mark.parametrize(
    ("stream", "state"),
    [
        (STREAM, "ok"),
        (replace(STREAM, drained_ns=None), "not read"),
        (FAILING, "retrying"),
        (replace(FAILING, stopped=True, error_type="ThirdPartyConfigError"), "in error"),
    ],
)
def test_a_state_is_one_or_two_words(stream: StreamStatus, state: str, moving: MovingClock) -> None:
    assert lines(stream)[1].startswith(f"audit {state} 1,234")


def test_an_api_without_events_leaves_its_times_empty(moving: MovingClock) -> None:
    empty = replace(STREAM, events=0, newest_ns=None, lag_ns=None, drained_ns=None)
    assert lines(empty)[1] in {"audit not read 0", "audit not read 0 never", "audit not read 0 -"}
    found = stream_as_json(empty)
    assert (found["newest_event"], found["event_lag_seconds"], found["collector_lag_seconds"]) == (None, None, None)


def test_the_record_has_seconds_and_times(moving: MovingClock) -> None:
    found = stream_as_json(STREAM)
    assert (found["event_lag_seconds"], found["collector_lag_seconds"]) == (1.235, 90.0)
    assert (found["state"], found["last_attempt"], found["failing_since"]) == ("ok", None, None)
    assert found["newest_event"] == "2026-09-21T14:12:20Z"


def test_the_last_attempt_is_shown_while_an_api_fails(moving: MovingClock) -> None:
    assert stream_as_json(FAILING)["last_attempt"] == "2026-09-21T14:13:20Z"
    assert stream_as_json(replace(FAILING, failing_since_ns=None))["last_attempt"] is None
