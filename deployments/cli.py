"""The commands of `onepassword-source`: each is a file in `commands`, imported when it is called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deployments import entry_point
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED, TERMINATED, WRONG_USE
from deployments.lazy_commands import CommandEntry, build_app

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "DONE", "INTERRUPTED", "IN_ERROR", "SKIPPED", "TERMINATED", "WRONG_USE", "app", "main"]

SOURCES, DATA, MACHINE, TRY = "Sources", "Data", "This machine", "Try it"

FIELDS = (
    CommandEntry("list", "List the fields, enabled or not.", "fields list --json"),
    CommandEntry("add", "Add fields: letters, digits and _, at most 255.", "fields add team region"),
    CommandEntry("enable", "Enable fields: they are sent on again.", "fields enable team"),
    CommandEntry("disable", "Disable fields: they are dropped wherever events are sent on.", "fields disable team"),
)
SECRETS = (
    CommandEntry(
        "rotate",
        "Make a new API password and a new encryption key for this machine's Prefect; all blocks stay readable.",
        "secrets rotate",
    ),
)
SIEM = (
    CommandEntry(
        "add",
        "Add a SIEM, or change it: the same as `apply` with a file. Secrets are read without echo.",
        "siem add soc --type splunk --source 1Pass --set url=https://splunk.example:8088",
    ),
    CommandEntry("list", "List the SIEMs, in short.", "siem list --json"),
    CommandEntry(
        "status",
        "Show how far each SIEM is: sent, waiting, the last error. Exit code 1 where one is in error.",
        "siem status soc",
    ),
    CommandEntry(
        "test",
        "Show what would be sent, and which rule keeps an event back. Nothing is sent but a question.",
        "siem test soc --sample 5",
    ),
    CommandEntry(
        "run",
        "Forward now, in this process. Exit code 1 where the SIEM is in error, 3 where another run forwards.",
        "siem run soc",
    ),
    CommandEntry("pause", "Pause forwarding to a SIEM. What comes meanwhile waits; others go on.", "siem pause soc"),
    CommandEntry("resume", "Resume forwarding, from where it was; errors are forgotten.", "siem resume soc"),
    CommandEntry(
        "replay",
        "Send again what was received since a time, or what was rejected. The SIEM may then hold it twice.",
        "siem replay soc --from 2026-11-01",
        former_flags={"--refused": "--rejected"},
    ),
    CommandEntry(
        "rejected",
        "List the events that a SIEM rejected, with its answers.",
        "siem rejected soc",
        former_names=("refused",),
    ),
    CommandEntry("remove", "Remove a SIEM with its secrets and how far it is. The events stay.", "siem remove soc"),
)
COMMANDS = (
    CommandEntry(
        "apply",
        "Create or update sources from their JSON configuration; what has changed is collected at once.",
        "apply source.json",
        SOURCES,
    ),
    CommandEntry(
        "collect",
        "Collect once, now. Exit code 1 where the source is in error, 3 where another run collects it.",
        "collect 1Pass",
        SOURCES,
    ),
    CommandEntry(
        "status",
        "Show whether each source is healthy and what it holds. Exit code 1 where one is in error.",
        "status 1Pass --json",
        SOURCES,
    ),
    CommandEntry(
        "list", "List all sources in short, the deleted ones too. `status` shows more.", "list --json", SOURCES
    ),
    CommandEntry(
        "restart",
        "Clear the errors of a source and collect now. Without a running `up`, it collects in this process.",
        "restart 1Pass",
        SOURCES,
    ),
    CommandEntry(
        "token",
        "Replace the token of a source: reads the new one without echo, and checks it first.",
        "token 1Pass < token.txt",
        SOURCES,
    ),
    CommandEntry(
        "stop",
        "Stop the schedule of one source, and end its run after the current page. Others go on.",
        "stop 1Pass",
        SOURCES,
    ),
    CommandEntry("start", "Resume the schedule of a stopped source.", "start 1Pass", SOURCES),
    CommandEntry("rename", "Rename a source; its events and cursors stay.", "rename 1Pass acme", SOURCES),
    CommandEntry(
        "delete", "Delete a source, with its token and its schedule. Its events stay.", "delete 1Pass", SOURCES
    ),
    CommandEntry(
        "export",
        "Write the JSON configuration of a source, in the form that `apply` reads.",
        "export 1Pass -o source.json",
        SOURCES,
    ),
    CommandEntry(
        "backfill",
        "Read a past span of time again and store what is missing. Live collection goes on, and goes first.",
        "backfill 1Pass --start 2026-08-01 --end 2026-08-15 --plan",
        SOURCES,
    ),
    CommandEntry(
        "reconcile",
        "Read the recent past again and compare it with the store; a schedule does so every day.",
        "reconcile 1Pass --last 7d",
        SOURCES,
    ),
    CommandEntry(
        "check",
        "Check everything a source needs, one line each: ok, or what to do. Changes nothing. Exit code 1 for a fault.",
        "check 1Pass",
        SOURCES,
    ),
    CommandEntry(
        "health",
        "Show the health events, oldest first: what went wrong, when it was over, what to do.",
        "health 1Pass --since 30d",
        SOURCES,
    ),
    CommandEntry("up", "Run everything on this machine until Ctrl-C: Prefect, schedules, the worker.", "up", MACHINE),
    CommandEntry(
        "env",
        "Print what Prefect's own command line needs to reach this machine's Prefect: a password too.",
        example='eval "$({program} env)" && prefect deployment ls',
        panel=MACHINE,
    ),
    CommandEntry("secrets", "Renew what keeps this machine's own Prefect shut.", panel=MACHINE, entries=SECRETS),
    CommandEntry(
        "events",
        "Show or export the stored events of a source, oldest first.",
        "events 1Pass --since 7d -o week.csv",
        DATA,
    ),
    CommandEntry(
        "coverage",
        "Show what was collected, when it was last reconciled, and the gaps, with the command that closes each.",
        "coverage 1Pass --html coverage.html",
        DATA,
    ),
    CommandEntry(
        "fields",
        "Show and change which fields a source may give its events, wherever they are sent on.",
        panel=DATA,
        entries=FIELDS,
    ),
    CommandEntry(
        "prune",
        "Remove events older than a time, now or on a schedule. The uuid and digest of each stay.",
        "prune --older-than 400d --dry-run",
        DATA,
    ),
    CommandEntry(
        "verify",
        "Prove that nothing stored was changed, removed or added since its commit. Exit code 1 where it was.",
        "verify 1Pass --checkpoints saved.jsonl",
        DATA,
        former_flags={"--head": "--print-checkpoint", "--against": "--checkpoints"},
    ),
    CommandEntry(
        "siem",
        "Forward events to SIEMs and archives: which there are, how far each is, what it is sent.",
        panel=DATA,
        entries=SIEM,
    ),
    CommandEntry(
        "sandbox",
        "Run a fake Events API on this machine, with made-up events and faults on demand.",
        panel=TRY,
        passes_arguments=True,
    ),
    CommandEntry(
        "demo", "Collect from the sandbox into a directory of its own (./.demo) and show the result.", "demo", TRY
    ),
)

app = build_app(
    "Collect every sign-in attempt, item usage and audit event of a 1Password account into your own database.",
    COMMANDS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return entry_point.run_command(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
