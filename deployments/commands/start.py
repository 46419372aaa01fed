"""`onepassword-source start`: resume the schedule of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import deferred
from deployments.commands.support.options import Json, Name
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from deployments.json_records.sources import StartRecord

NO_WORKER = "No worker runs, so nothing is collected yet. Start one with: onepassword-source up"


def command(name: Name, as_json: Json = False) -> None:
    """Resume the schedule of one source."""
    with prefect_session() as access:
        source = deferred.lifecycle.locate(name)
        deferred.lifecycle.start(source)
    if as_json:
        answer: StartRecord = {"source": name, "source_id": source.known.id, "stopped": False}
        print_json(answer)
    else:
        print_line(f"{printable(name)}: started. It is collected every five minutes.")
    if access.kind == "temporary":
        print_note(NO_WORKER)
