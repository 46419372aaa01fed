"""What a person does with the pairs of a SIEM and its sources: pause, resume, send again.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store.forwarding import forward_pairs, replay
from deployments import forward_deployments, siems
from deployments.sources import open_default_store

if TYPE_CHECKING:
    from collections.abc import Collection

    from blocks.store.forwarding.records import ForwardPair
    from blocks.store.forwarding.rejected_events import EventKey


def set_paused(name: str, source: str | None = None, *, paused: bool) -> list[tuple[ForwardPair, bool]]:
    """Pause or resume the pairs of a SIEM. Returns them, each with whether that was a change. A resume forwards now.

    This and all other functions here raise ThirdPartyConfigError if there is no such SIEM or source.
    """
    engine = open_default_store()
    changed = []
    for pair in forward_pairs.require(engine, name, source):
        changed.append((pair, siems.set_paused(engine, pair, paused=paused)))
        if not paused:
            forward_deployments.run_now(pair.source, pair.siem)
    return changed


def count_sent_since(name: str, source: str | None, since_ns: int) -> int:
    """Count the events that `resend_since` would send again. The SIEM may store them twice."""
    engine = open_default_store()
    pairs = forward_pairs.require(engine, name, source)
    return sum(replay.count_sent_since(engine, pair, since_ns) for pair in pairs)


def resend_since(name: str, source: str | None, since_ns: int) -> list[tuple[ForwardPair, int]]:
    """Send the events received at `since_ns` (ns since 1970) or later again. Returns the pairs and how many events."""
    engine = open_default_store()
    pairs = forward_pairs.require(engine, name, source)
    return [_started(pair, replay.resend_since(engine, pair, since_ns)) for pair in pairs]


def resend_rejected(
    name: str, source: str | None = None, only: Collection[EventKey] | None = None
) -> list[tuple[ForwardPair, int]]:
    """Send the events that the SIEM rejected again, all or `only` some. Returns the pairs and how many events."""
    engine = open_default_store()
    pairs = forward_pairs.require(engine, name, source)
    return [_started(pair, replay.resend_rejected(engine, pair, only)) for pair in pairs]


def _started(pair: ForwardPair, number: int) -> tuple[ForwardPair, int]:
    if number:
        forward_deployments.run_now(pair.source, pair.siem)
    return pair, number
