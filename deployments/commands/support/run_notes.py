"""What the commands that start or end runs of a source tell a person beside their answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from deployments.commands.support.output import note

if TYPE_CHECKING:
    from deployments.lifecycle import Managed
    from deployments.prefect_api.server_access import Access

ENDING = "The run in progress finishes its page…"
STOPPED = "Its schedule is stopped; resume it with: {}"


def note_after_start(access: Access, source: Managed) -> None:
    """What a person should know after a run was created for a source."""
    if source.known.paused_ns is not None:
        note(STOPPED.format(command_line("start", source.name)))
    if access.kind == "external":
        note(f"A worker takes it. Look at it with: {command_line('status', source.name)}")
