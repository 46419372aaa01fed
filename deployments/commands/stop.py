"""`onepassword-source stop`."""

from __future__ import annotations

from deployments.commands import deferred
from deployments.commands.options import Json, Name
from deployments.commands.prefect_server import prefect
from deployments.commands.present import note, plain, say, say_json, with_spinner
from deployments.commands.run_notes import ENDING

CUT_SHORT = "A run was not done within a minute: its claims were taken away, so it writes nothing more."


def command(name: Name, as_json: Json = False) -> None:
    """Stop the schedule of one source."""
    with prefect():
        source = deferred.lifecycle.locate(name)
        ended = with_spinner(ENDING, lambda: deferred.lifecycle.stop(source))
    if as_json:
        say_json({"source": name, "source_id": source.known.id, "stopped": True, "runs_ended": ended})
    else:
        say(f"{plain(name)}: stopped. No run starts by schedule until: onepassword-source start {plain(name)}")
    if not ended:
        note(CUT_SHORT)
