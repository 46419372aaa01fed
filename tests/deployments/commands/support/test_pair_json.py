"""The record of a pair for `--json`: times in RFC 3339, and null for what there is not."""

from __future__ import annotations

import pytest
from support.forward_statuses import FAILING_NS, failing, pair, position

from blocks.store.forwarding.forward_status import PositionStatus
from deployments.commands.support.pair_json import pair_as_json, position_state


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (position(), "ok"),
        (failing(), "retrying"),
        (failing(stopped=True), "in error"),
        (failing(error_type="ThirdPartyConfigError"), "in error"),
        (position(stopped=True), "in error"),
    ],
)
def test_the_state_of_a_position(one: PositionStatus, state: str) -> None:
    assert position_state(one) == state
    assert pair_as_json(pair(one))["apis"][0]["state"] == state


def test_a_pair_without_positions_has_no_apis() -> None:
    found = pair_as_json(pair(paused_ns=FAILING_NS))
    assert found["apis"] == []
    assert (found["siem"], found["type"], found["source"], found["source_id"]) == ("soc", "splunk", "1Pass", "S")
    assert (found["state"], found["in_error"], found["for_siem"]) == ("paused", False, True)
    assert (found["paused_since"], found["next_file"]) == ("2023-11-14T22:13:20Z", None)
    assert found["config"] == {"url": "https://s"}


def test_a_failing_position_has_its_attempts() -> None:
    (found,) = pair_as_json(pair(failing(error_message="503", retries_ns=FAILING_NS + 120 * 10**9)))["apis"]
    assert (found["failing_since"], found["last_attempt"], found["next_attempt"]) == (
        *("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z", "2023-11-14T22:15:20Z"),
    )
    assert (found["failed_attempts"], found["error"]) == (2, "503")


def test_the_last_attempt_of_a_position_that_is_well_again_is_not_shown() -> None:
    (found,) = pair_as_json(pair(position(error_ns=FAILING_NS, sent=5, waiting=2, oldest_ns=0)))["apis"]
    assert (found["last_attempt"], found["failing_since"]) == (None, None)
    assert (found["sent"], found["waiting"], found["oldest_waiting"]) == (5, 2, "1970-01-01T00:00:00Z")
