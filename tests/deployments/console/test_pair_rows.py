"""The row of a pair of source and SIEM: its state, its problem and its times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from blocks.store.forwarding.forward_status import PairStatus, PositionStatus
from deployments.console.pair_rows import ORDER, PairRow, pair_rows
from deployments.console.send_rates import SendRates

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOTHING: dict[str, Any] = {
    "sent": 0,
    "filtered": 0,
    "rejected": 0,
    "waiting": 0,
    "oldest_ns": None,
    "progress_ns": None,
    "failing_since_ns": None,
    "error_type": None,
    "error_message": None,
    "stopped": False,
}


def pair(*positions: dict[str, Any], **members: Any) -> PairRow:
    found = tuple(PositionStatus(api="audit", **{**NOTHING, **one}) for one in positions)
    about = {"kind": "webhook", "for_siem": True, "deleted": False, "paused_ns": None} | members
    return PairRow(
        PairStatus("P", "1Pass", "S", "soc", config={}, created_ns=0, positions=found, **about), None, 0, 0, 0, 0
    )


@pytest.mark.parametrize(
    ("row", "state", "kind"),
    [
        (pair({}), "ok", "good"),
        (pair({"waiting": 3}), "waiting", "good"),
        (pair({}, paused_ns=1), "paused", "idle"),
        (pair({}, for_siem=False), "withheld", "warn"),
        (pair({}, deleted=True), "source deleted", "idle"),
        (pair({"failing_since_ns": 1, "error_type": "ThirdPartyGenericError"}), "retrying", "warn"),
        (pair({"stopped": True, "error_type": "ThirdPartyConfigError"}), "in error", "bad"),
    ],
)
def test_a_pair_has_a_state_with_a_colour(row: PairRow, state: str, kind: str) -> None:
    assert (row.state, row.kind) == (state, kind)
    assert row.state in ORDER


def test_the_problem_of_a_pair_is_its_worst() -> None:
    retried = {"failing_since_ns": 1, "error_type": "ThirdPartyGenericError", "error_message": "It times out."}
    stopped = {"stopped": True, "error_type": "ThirdPartyConfigError", "error_message": "The token is wrong."}
    assert pair(retried, stopped).problem == "The token is wrong."
    assert pair(retried).problem == "It times out."
    assert pair({}).problem == ""
    assert "_siemForward" in pair({}, for_siem=False).problem


def test_times_of_a_pair_are_the_oldest_waiting_and_the_last_answer() -> None:
    row = pair({"oldest_ns": 5, "progress_ns": 7}, {"oldest_ns": 3, "progress_ns": 9}, {})
    assert (row.oldest_ns, row.progress_ns) == (3, 9)


def test_a_store_without_pairs_has_no_rows(store: Engine) -> None:
    assert pair_rows(store, SendRates()) == []
