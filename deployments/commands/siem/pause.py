"""`onepassword-source siem pause`."""

from __future__ import annotations

from deployments.commands.support.options import Json, OfSource, Siem
from deployments.commands.support.siem_pairs import set_paused


def command(name: Siem, source: OfSource = None, as_json: Json = False) -> None:
    """Pause the pairs of a SIEM."""
    set_paused(name, source, paused=True, as_json=as_json)
