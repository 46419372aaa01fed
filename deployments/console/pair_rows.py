"""What the pages show of pairs of a source and a SIEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from blocks.store.forwarding import forward_status

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.forwarding.forward_status import PairStatus
    from deployments.console.send_rates import SendRate, SendRates

ORDER = ("in error", "retrying", "withheld", "paused", "waiting", "ok", "source deleted")
"""What needs attention comes first."""
KINDS = {
    "in error": "bad",
    "retrying": "warn",
    "withheld": "warn",
    "paused": "idle",
    "source deleted": "idle",
    "waiting": "good",
    "ok": "good",
}
"""The class of each state: its colour and its icon."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """A pair as a row. Times in nanoseconds since 1970."""

    pair: PairStatus
    rate: SendRate | None
    sent: int
    filtered: int
    rejected: int
    waiting: int

    @property
    def state(self) -> str:
        """A word of ORDER."""
        return self.pair.state if self.pair.state in ORDER else "in error"

    @property
    def kind(self) -> str:
        return KINDS[self.state]

    @property
    def oldest_ns(self) -> int | None:
        return min((one.oldest_ns for one in self.pair.positions if one.oldest_ns is not None), default=None)

    @property
    def progress_ns(self) -> int | None:
        return max((one.progress_ns for one in self.pair.positions if one.progress_ns is not None), default=None)

    @property
    def problem(self) -> str:
        """What the SIEM answered last, if that was no acknowledgement; or why nothing is sent."""
        if self.pair.withheld:
            return "Nothing is sent: the field _siemForward of the source is not true."
        failing = [one for one in self.pair.positions if one.in_error] or [
            one for one in self.pair.positions if one.is_retried
        ]
        return next((one.error_message for one in failing if one.error_message), "")


def pair_rows(engine: Engine, rates: SendRates, siem: str | None = None) -> list[PairRow]:
    """All pairs, or those of the named SIEM, what needs attention first. None if there is no such SIEM."""
    try:
        rows = [_row(pair, rates) for pair in forward_status.pairs(engine, siem)]
    except ThirdPartyConfigError:
        return []
    return sorted(rows, key=lambda row: (ORDER.index(row.state), row.pair.siem, row.pair.source))


def _row(pair: PairStatus, rates: SendRates) -> PairRow:
    sent, filtered, rejected, waiting = (
        sum(getattr(one, name) for one in pair.positions) for name in ("sent", "filtered", "rejected", "waiting")
    )
    return PairRow(pair, rates.measure(pair.id, sent), sent, filtered, rejected, waiting)
