"""`onepassword-source start`."""

from __future__ import annotations

from deployments.commands.support import deferred
from deployments.commands.support.options import Json, Name
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, printable

NO_WORKER = "Nothing collects it by schedule at present; start that with: onepassword-source up"


def command(name: Name, as_json: Json = False) -> None:
    """Let the schedule of one source run again."""
    with prefect_session() as access:
        source = deferred.lifecycle.locate(name)
        deferred.lifecycle.start(source)
    if as_json:
        print_json({"source": name, "source_id": source.known.id, "stopped": False})
    else:
        print_line(f"{printable(name)}: started. It is collected every five minutes.")
    if access.kind == "temporary":
        print_note(NO_WORKER)
