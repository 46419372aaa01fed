"""`onepassword-source stop`: stop the schedule of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from deployments import deferred
from deployments.commands.support.options import Json, Name
from deployments.commands.support.run_notes import FINISHING_PAGE
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, printable, with_spinner

if TYPE_CHECKING:
    from deployments.json_records.sources import StopRecord

CUT_SHORT = "A run did not end within a minute. Its claims were revoked, so it writes nothing more."


def command(name: Name, as_json: Json = False) -> None:
    """Stop the schedule of one source."""
    with prefect_session():
        source = deferred.lifecycle.locate(name)
        ended = with_spinner(FINISHING_PAGE, lambda: deferred.lifecycle.stop(source))
    if as_json:
        answer: StopRecord = {"source": name, "source_id": source.known.id, "stopped": True, "runs_ended": ended}
        print_json(answer)
    else:
        print_line(printable(f"{name}: stopped. No run starts by schedule until: {command_line('start', name)}"))
    if not ended:
        print_note(CUT_SHORT)
