"""`onepassword-source siem resume`."""

from __future__ import annotations

from deployments.commands.options import OfSource, Siem
from deployments.commands.siem_pairs import set_paused


def command(name: Siem, source: OfSource = None) -> None:
    """Resume the pairs of a SIEM, and forward what has waited."""
    set_paused(name, source, paused=False)
