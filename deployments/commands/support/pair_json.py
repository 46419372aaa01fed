"""A pair of a source and a SIEM as a record for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.terminal_output import format_rfc3339

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PairStatus, PositionStatus
    from deployments.json_records.forwarding import PairRecord, PositionRecord


def pair_as_json(pair: PairStatus) -> PairRecord:
    """The record of a pair for `--json`, with times in RFC 3339."""
    return {
        "siem": pair.siem,
        "type": pair.kind,
        "source": pair.source,
        "source_id": pair.source_id,
        "state": pair.state,
        "in_error": pair.in_error,
        "for_siem": pair.for_siem,
        "next_file": format_rfc3339(pair.next_file_ns),
        "paused_since": format_rfc3339(pair.paused_ns),
        "config": pair.config,
        "apis": [_position_as_json(position) for position in pair.positions],
    }


def _position_as_json(position: PositionStatus) -> PositionRecord:
    return {
        "api": position.api,
        "state": position_state(position),
        "sent": position.sent,
        "filtered": position.filtered,
        "rejected": position.rejected,
        "waiting": position.waiting,
        "oldest_waiting": format_rfc3339(position.oldest_ns),
        "last_acknowledged": format_rfc3339(position.progress_ns),
        "failing_since": format_rfc3339(position.failing_since_ns),
        "failed_attempts": position.failed_attempts,
        "last_attempt": format_rfc3339(position.error_ns) if position.failing_since_ns is not None else None,
        "next_attempt": format_rfc3339(position.retries_ns),
        "error_type": position.error_type,
        "error": position.error_message,
    }


def position_state(position: PositionStatus) -> str:
    if position.in_error:
        return "in error"
    return "retrying" if position.failing_since_ns is not None else "ok"
