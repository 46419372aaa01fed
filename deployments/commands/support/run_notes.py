"""Notes of commands that start or stop runs of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from deployments.terminal_output import print_note

if TYPE_CHECKING:
    from deployments.lifecycle import ManagedSource
    from deployments.prefect_api.server_access import PrefectAccess

FINISHING_PAGE = "The run in progress finishes its page…"
SCHEDULE_STOPPED = "Its schedule is stopped; resume it with: {}"


def note_after_start(access: PrefectAccess, source: ManagedSource) -> None:
    """Print what to know after a run was created for a source."""
    if source.known.paused_ns is not None:
        print_note(SCHEDULE_STOPPED.format(command_line("start", source.name)))
    if access.kind == "external":
        print_note(f"A worker runs it. See its state with: {command_line('status', source.name)}")
