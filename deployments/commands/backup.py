"""`onepassword-source backup`: one file with the store, the tokens and the schedules, while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.store import source_status
from deployments import deferred
from deployments.backups import backup_file, passphrase
from deployments.commands.support.options import Json
from deployments.commands.support.progress import byte_bar
from deployments.disk_space import format_bytes
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, print_note, print_warning, printable

if TYPE_CHECKING:
    from deployments.backups.backup import Backup

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Read the passphrase from the one line of a file; default: type it.",
        show_default=False,
    ),
]
DETAILS = """The file holds the store as it is at one moment, and, encrypted with a passphrase, what cannot be derived
from it: tokens, SIEMs with their secrets, and the automations, notification blocks and schedules that a person made or
changed.

The passphrase is typed without echo, or comes from a file or from ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE. FILE appears
complete or not at all, with mode 0600."""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)],
    passphrase_file: PassphraseFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Make a backup. Raises ThirdPartyConfigError if FILE exists, or there is no passphrase."""
    path = file.absolute()
    backup_file.require_writable(path, force=force)
    secret = passphrase.read_new(passphrase_file)
    with (
        source_status.opened_store() as engine,
        prefect_session(),
        byte_bar("Backing up", lambda: deferred.backup.expected_bytes(engine)) as advance,
    ):
        made = deferred.backup.make(engine, path, secret, advance)
    for warning in made.warnings:
        print_warning(warning)
    if as_json:
        print_json(_as_json(made))
        return
    events = made.manifest.store.tables["events"].rows
    print_line(f"{printable(path)}: {format_bytes(made.size)}, {events:,} events as of {made.manifest.created[:19]}Z.")
    print_note("Events are in it as plain text: keep it where only you can read it. Keep the passphrase elsewhere.")


def _as_json(made: Backup) -> dict[str, Any]:
    manifest = made.manifest
    return {
        "file": str(made.path),
        "bytes": made.size,
        "sha256": made.sha256,
        "time": manifest.created,
        "version": manifest.program,
        "schema": manifest.schema,
        "database": manifest.database,
        "apis": [
            {"source": one.source, "source_id": one.source_id, "api": one.api, "events": one.events}
            for one in manifest.store.streams
        ],
    }
