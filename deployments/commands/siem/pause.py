"""`onepassword-source siem pause`."""

from __future__ import annotations

from deployments.commands.options import OfSource, Siem
from deployments.commands.siem_pairs import set_paused


def command(name: Siem, source: OfSource = None) -> None:
    """Pause the pairs of a SIEM."""
    set_paused(name, source, paused=True)
