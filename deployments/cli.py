"""The registry of commands of `onepassword-source`. Each is a file in `commands/`, imported when it is called."""

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
SOURCE_FILE = """A source.json of a source. If you leave out "api_token", you type the token:

{"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": {"name": "1Pass", \
"base_url": "events.1password.com", "api_token": "…", "supported_apis": ["sign-in", "itemUsage", "audit"]}}}"""

FIELDS = (
    CommandEntry("list", "List the fields, enabled and disabled.", "fields list --json"),
    CommandEntry("add", "Add fields. A name has letters, digits and _, at most 255.", "fields add team region"),
    CommandEntry("enable", "Enable fields: they are forwarded again.", "fields enable team"),
    CommandEntry("disable", "Disable fields: they are no longer forwarded.", "fields disable team"),
)
NAMES = (
    CommandEntry(
        "import",
        "Store the names of vaults, items, users and groups from a file that you export.",
        "names import vaults.json",
        module="import_names",
    ),
    CommandEntry("list", "List the imported names.", "names list payroll --json"),
    CommandEntry("remove", "Remove names. Names are personal data.", "names remove --all"),
)
SECRETS = (
    CommandEntry(
        "rotate",
        "Create a new API password and a new encryption key for this machine's Prefect. All blocks stay readable.",
        "secrets rotate",
    ),
)
SIEM = (
    CommandEntry(
        "add",
        "Add or change a SIEM, as `apply` does with a file. Secrets are typed without echo.",
        "siem add soc --type splunk --source 1Pass --set url=https://splunk.example:8088",
    ),
    CommandEntry("list", "List the SIEMs, one line each.", "siem list --json"),
    CommandEntry(
        "status",
        "Show sent and waiting events of each SIEM, and its last error.",
        "siem status soc",
        exits={IN_ERROR: "one is in error"},
    ),
    CommandEntry(
        "test",
        "Show what would be sent, and which rule filters an event. Sends the SIEM only a test request.",
        "siem test soc --sample 5",
        exits={IN_ERROR: "the SIEM does not accept the test request"},
    ),
    CommandEntry(
        "run",
        "Forward now, in this process.",
        "siem run soc",
        exits={IN_ERROR: "the SIEM is in error", SKIPPED: "another run forwards"},
    ),
    CommandEntry(
        "pause", "Pause forwarding to a SIEM. New events wait; other SIEMs are not affected.", "siem pause soc"
    ),
    CommandEntry("resume", "Resume forwarding from the last position, and clear errors.", "siem resume soc"),
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
    CommandEntry("remove", "Remove a SIEM with its secrets and positions. The events stay.", "siem remove soc"),
)
COMMANDS = (
    CommandEntry(
        "apply",
        "Create or update sources, or SIEMs, from JSON. New and changed sources are collected at once.",
        "apply source.json",
        SOURCES,
        exits={IN_ERROR: "the token of a source was refused"},
        after_help=SOURCE_FILE,
    ),
    CommandEntry(
        "collect",
        "Collect once, now.",
        "collect 1Pass",
        SOURCES,
        exits={IN_ERROR: "the source is in error", SKIPPED: "another run collects it"},
    ),
    CommandEntry(
        "status",
        "Show the health and the events of each source.",
        "status 1Pass --json",
        SOURCES,
        exits={IN_ERROR: "a source is in error or not running, or `up` has a problem"},
    ),
    CommandEntry(
        "list", "List all sources, deleted ones too, one line each. `status` shows more.", "list --json", SOURCES
    ),
    CommandEntry(
        "restart",
        "Clear the errors of a source and collect now: in `up`, or in this process if `up` does not run.",
        "restart 1Pass",
        SOURCES,
        exits={IN_ERROR: "the source is in error again", SKIPPED: "another run collects it"},
    ),
    CommandEntry(
        "token",
        "Replace the token of a source. The new one is typed without echo, and checked first.",
        "token 1Pass < token.txt",
        SOURCES,
    ),
    CommandEntry(
        "stop",
        "Stop the schedule of one source, and end its run after the current page. Others continue.",
        "stop 1Pass",
        SOURCES,
    ),
    CommandEntry("start", "Resume the schedule of a stopped source.", "start 1Pass", SOURCES),
    CommandEntry("rename", "Rename a source; its events and cursors stay.", "rename 1Pass acme", SOURCES),
    CommandEntry(
        "delete", "Delete a source with its token and its schedule. Its events stay.", "delete 1Pass", SOURCES
    ),
    CommandEntry(
        "export",
        "Write the JSON configuration of a source, as `apply` reads it.",
        "export 1Pass -o source.json",
        SOURCES,
    ),
    CommandEntry(
        "backfill",
        "Read a past time range again and store missing events. Live collection continues, and has priority.",
        "backfill 1Pass --start 2026-08-01 --end 2026-08-15 --plan",
        SOURCES,
        exits={IN_ERROR: "it failed; --resume continues it"},
    ),
    CommandEntry(
        "reconcile",
        "Read the recent past again and compare it with the store. A schedule does this every day.",
        "reconcile 1Pass --last 7d",
        SOURCES,
        exits={IN_ERROR: "it failed"},
    ),
    CommandEntry(
        "check",
        "Check everything a source needs, one line each. Changes nothing.",
        "check 1Pass",
        SOURCES,
        exits={IN_ERROR: "a check fails"},
    ),
    CommandEntry(
        "health",
        "Show health events, oldest first: what went wrong, when it ended, what to do.",
        "health 1Pass --since 30d",
        SOURCES,
    ),
    CommandEntry("up", "Run everything on this machine until Ctrl-C: Prefect, schedules, the worker.", "up", MACHINE),
    CommandEntry(
        "console",
        "Serve the console alone: sources, events and SIEMs on a page. `up` serves it, too.",
        "console --port 4280",
        MACHINE,
    ),
    CommandEntry(
        "install-service",
        "Write a systemd service that runs `up`, for the system or for your user, and show how to start it.",
        "install-service --user",
        MACHINE,
        module="install_service",
    ),
    CommandEntry(
        "server",
        "Serve Prefect alone, for workers on several machines. `up` has its own server.",
        "server --public-url https://prefect.example.com",
        MACHINE,
    ),
    CommandEntry(
        "worker",
        "Take runs from the Prefect server of PREFECT_API_URL. `up` has its own worker.",
        "worker --health-port 8080",
        MACHINE,
    ),
    CommandEntry(
        "migrate",
        "Bring the store, and Prefect's database if it is set, to this version's schema.",
        "migrate",
        MACHINE,
    ),
    CommandEntry(
        "env",
        "Print the environment for Prefect's own command line on this machine, with the password.",
        example='eval "$({program} env)" && prefect deployment ls',
        panel=MACHINE,
    ),
    CommandEntry(
        "backup",
        "Write the store, the tokens and the schedules into one file, while everything runs.",
        "backup backup-2026-11-29.tar.gz",
        MACHINE,
    ),
    CommandEntry(
        "restore",
        "Restore a backup onto an empty machine: collection continues from where the backup was made.",
        "restore backup-2026-11-29.tar.gz",
        MACHINE,
        exits={IN_ERROR: "the hash chains do not match those of the backup"},
    ),
    CommandEntry(
        "move",
        "Copy the store into another database, such as PostgreSQL, and prove that nothing was lost.",
        "move --to postgresql://user:password@host/events",
        MACHINE,
        exits={IN_ERROR: "the copy does not match; then it is not used"},
    ),
    CommandEntry("secrets", "Renew the secrets that protect this machine's Prefect.", panel=MACHINE, entries=SECRETS),
    CommandEntry(
        "events",
        "Show or export the stored events of a source, oldest first.",
        "events 1Pass --since 7d -o week.csv",
        DATA,
    ),
    CommandEntry(
        "actions",
        "Show what the codes in events mean. Needs no store.",
        "actions vault",
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
        "Show and change which fields of sources are forwarded.",
        panel=DATA,
        entries=FIELDS,
    ),
    CommandEntry(
        "names",
        "Give names to the ids in events: import, list and remove them.",
        panel=DATA,
        entries=NAMES,
    ),
    CommandEntry(
        "prune",
        "Remove events older than a time, now or on a schedule. The uuid and digest of each event stay.",
        "prune --older-than 400d --dry-run",
        DATA,
    ),
    CommandEntry(
        "verify",
        "Prove that no stored event was changed, removed or added since its commit.",
        "verify 1Pass --checkpoints saved.jsonl",
        DATA,
        former_flags={"--head": "--print-checkpoint", "--against": "--checkpoints"},
        exits={IN_ERROR: "an event was, or a checkpoint does not match"},
    ),
    CommandEntry(
        "siem",
        "Forward events to SIEMs and archives.",
        panel=DATA,
        entries=SIEM,
    ),
    CommandEntry(
        "sandbox",
        "Run a fake Events API on this machine, with made-up events and faults on demand.",
        panel=TRY,
        passes_arguments=True,
    ),
    CommandEntry("demo", "Collect from the sandbox into its own directory (./.demo) and show the result.", "demo", TRY),
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
