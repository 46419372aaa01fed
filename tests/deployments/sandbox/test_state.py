"""What a sandbox holds at its start: events shared out to the APIs, its end, and its faults."""

from __future__ import annotations

import pytest

from deployments.sandbox.computed_history import ComputedHistory
from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import EventHistory
from deployments.sandbox.options import SandboxOptionError, SandboxOptions
from deployments.sandbox.state import SandboxState
from deployments.sandbox.vocabulary import APIS

UNTIL = "2026-01-01T00:00:00Z"
UNTIL_NS = 1_767_225_600 * 10**9


def state(**options: object) -> SandboxState:
    return SandboxState(SandboxOptions(until=UNTIL, days=1.0, **options), "127.0.0.1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "sizes"), [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (10, [4, 3, 3])]
)
def test_all_events_are_shared_out_to_the_apis(events: int, sizes: list[int]) -> None:
    held = state(events=events).arrivals
    everything = {api: CursorState(2, api, 0, 1000, -(2**62)) for api in APIS}
    assert [len(held[api].read(everything[api], UNTIL_NS).bodies) for api in APIS] == sizes


def test_events_are_computed_in_bulk_and_held_otherwise() -> None:
    assert {type(one) for one in state(events=3).arrivals.values()} == {EventHistory}
    assert {type(one) for one in state(events=3, bulk=True).arrivals.values()} == {ComputedHistory}


def test_an_end_that_is_no_time_is_a_problem_of_the_option() -> None:
    with pytest.raises(SandboxOptionError, match="until must be an RFC 3339 time"):
        SandboxState(SandboxOptions(until="soon"), "127.0.0.1")


def test_a_fault_that_does_not_exist_is_a_problem_of_the_option() -> None:
    with pytest.raises(SandboxOptionError, match="moon"):
        state(faults=({"kind": "moon"},))
