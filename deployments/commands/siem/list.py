"""`onepassword-source siem list`: from the store alone, without Prefect."""

from __future__ import annotations

from blocks.store import reading, reading_forwards
from deployments.commands.options import Json
from deployments.commands.present import joined, note, say, say_json
from deployments.commands.siem.status import NONE_YET, style_of


def command(as_json: Json = False) -> None:
    """Print the SIEMs, a line for each pair."""
    with reading.opened_store() as engine:
        found = reading_forwards.forwards(engine)
    if as_json:
        say_json([{"siem": one.siem, "type": one.kind, "source": one.source, "state": one.state} for one in found])
        return
    for one in found:
        say(joined((one.siem, "bold"), (one.kind, ""), (one.source, ""), (one.state, style_of(one))))
    if not found:
        note(NONE_YET)
