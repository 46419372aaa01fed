"""`onepassword-source siem resume`."""

from __future__ import annotations

from deployments.commands.support.options import Json, OfSource, Siem
from deployments.commands.support.siem_pairs import set_paused


def command(name: Siem, source: OfSource = None, as_json: Json = False) -> None:
    """Resume the pairs of a SIEM, and forward the events that waited."""
    set_paused(name, source, paused=False, as_json=as_json)
