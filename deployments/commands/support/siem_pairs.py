"""Pausing and resuming the pairs of a SIEM and its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import deferred
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, printable

if TYPE_CHECKING:
    from blocks.store.forwarding.records import ForwardPair
    from deployments.json_records.forwarding import PausedPairRecord


def set_paused(name: str, source: str | None, *, paused: bool, as_json: bool) -> None:
    """Pause or resume the pairs of a SIEM, and print which were paused or resumed already."""
    with prefect_session():
        changed = deferred.siem_actions.set_paused(name, source, paused=paused)
    if as_json:
        print_json([_as_json(pair, paused=paused, changed=each) for pair, each in changed])
        return
    for pair, each in changed:
        was = "" if each else "was already "
        print_line(f"{printable(pair.source)} to {printable(pair.siem)}: {was}{'paused' if paused else 'resumed'}.")


def _as_json(pair: ForwardPair, *, paused: bool, changed: bool) -> PausedPairRecord:
    change = "updated" if changed else "unchanged"
    return {
        "source": pair.source,
        "source_id": pair.source_id,
        "siem": pair.siem,
        "paused": paused,
        "change": change,
    }
