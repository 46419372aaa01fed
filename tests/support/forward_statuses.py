"""How far pairs of source and SIEM are, made up: a position that is well, and one that fails."""

from __future__ import annotations

from typing import Any

from blocks.store.forwarding.forward_status import PairStatus, PositionStatus

FAILING_NS = 1_700_000_000 * 10**9  # 22:13:20 UTC


def position(**members: Any) -> PositionStatus:
    unset = dict.fromkeys(("oldest_ns", "progress_ns", "failing_since_ns", "error_type", "error_message"))
    counts = {"sent": 0, "filtered": 0, "rejected": 0, "waiting": 0, "stopped": False}
    return PositionStatus(**{"api": "audit", **counts, **unset, **members})


def failing(**members: Any) -> PositionStatus:
    times = {"failing_since_ns": FAILING_NS, "error_ns": FAILING_NS + 60 * 10**9}
    return position(**{**times, "failed_attempts": 2, "error_type": "ThirdPartyGenericError", **members})


def pair(*positions: PositionStatus, **members: Any) -> PairStatus:
    given = {"kind": "splunk", "config": {"url": "https://s"}, "paused_ns": None, "for_siem": True, "deleted": False}
    return PairStatus("P", "1Pass", "S", "soc", created_ns=0, positions=positions, **{**given, **members})
