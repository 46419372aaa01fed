"""A pair of a source and a SIEM as a line for a terminal, with the colour of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from deployments.commands.support.retries import next_attempt
from deployments.terminal_output import format_age, format_minute, join_styled

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PairStatus

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
