"""A pair of a source and a SIEM: a line for a terminal, a record for `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from deployments.commands.support.retries import next_attempt
from deployments.terminal_output import format_age, format_minute, format_rfc3339, join_styled

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PairStatus, PositionStatus
    from deployments.json_records.forwarding import PairRecord, PositionRecord

STYLES = {
    **dict.fromkeys(("ok", "waiting"), "bold green"),
    **dict.fromkeys(("retrying", "paused", "withheld", "source deleted"), "bold yellow"),
}
NONE_YET = "There are no SIEMs yet. Add one with: onepassword-source siem add"


def state_style(pair: PairStatus) -> str:
    return STYLES.get(pair.state, "bold red")


def summary_line(pair: PairStatus) -> Text:
    """A pair in one line: `soc  splunk  ok  2,892 sent, 12 waiting for 48 s`."""
    sent, waiting = (sum(getattr(api, name) for api in pair.positions) for name in ("sent", "waiting"))
    oldest = min((api.oldest_ns for api in pair.positions if api.oldest_ns is not None), default=None)
    until = f" until {format_minute(pair.next_file_ns)}, for a full file" if pair.next_file_ns is not None else ""
    text = f"{sent:,} sent" + (f", {waiting:,} waiting for {format_age(oldest)}{until}" if waiting else "")
    if pair.state == "retrying" and (retried := [api for api in pair.positions if api.is_retried]):
        first = min(retried, key=lambda api: api.retries_ns or 0)  # one that no run waits for is tried with the next
        text += f"; {first.api}: attempt {next_attempt(first)}"
    return join_styled((pair.siem, "bold"), (pair.kind, ""), (pair.state, state_style(pair)), (text, ""))


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
