"""`onepassword-source restart`: clear the errors of a source and collect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import deferred
from deployments.commands import collect
from deployments.commands.support.options import Json, Name
from deployments.commands.support.run_notes import FINISHING_PAGE, note_after_start
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, printable, with_spinner

if TYPE_CHECKING:
    from deployments.json_records.sources import RestartRecord

DETAILS = "After exit code 3, new events may not be stored yet when the command ends, but nothing is wrong."


def command(name: Name, as_json: Json = False) -> int:
    """Clear the errors and collect now: in a worker if there is a server, otherwise in this process."""
    with prefect_session() as access:
        source = deferred.lifecycle.locate(name)
        with_spinner(FINISHING_PAGE, lambda: deferred.lifecycle.restart(source))
        if access.kind == "temporary":
            return collect.collect_source(access, name, as_json=as_json)
        run = deferred.lifecycle.run_now(source)
    if as_json:
        answer: RestartRecord = {"source": name, "source_id": source.known.id, "flow_run_id": str(run)}
        print_json(answer)
    else:
        print_line(f"{printable(name)}: restarted. The run 'collect {printable(name)}' was started ({run}).")
    note_after_start(access, source)
    return 0
