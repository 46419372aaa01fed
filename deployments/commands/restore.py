"""`onepassword-source restore`: a backup onto an empty machine, or into an empty PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks import settings
from deployments import deferred
from deployments.backups import passphrase
from deployments.commands.backup import PassphraseFile
from deployments.commands.support.options import Json
from deployments.commands.support.progress import byte_bar, progress_bar
from deployments.exit_codes import DONE, IN_ERROR
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_indented, print_json, print_line, print_note, print_warning, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.backup.manifest import Manifest
    from blocks.store.transfer.proof import SourceProof
    from deployments.backups.prefect_restore import RestoredPrefect
    from deployments.backups.restore import OpenedBackup

SENT_AGAIN = (
    "Events that a SIEM acknowledged after the backup was made ({created}) are sent to it again. Elasticsearch and "
    "archives hold each event once all the same."
)
DETAILS = """Each byte of the file is verified first. A data directory or a database with a store in it is refused. An
interrupted restore is continued by the same command, and `up` does not start before it is complete.

Collection continues from the cursors of the backup: nothing is lost, and each event is stored once. A store of SQLite
can be restored into PostgreSQL, and the reverse."""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)],
    passphrase_file: PassphraseFile = None,
    paused: Annotated[
        bool, typer.Option("--paused", help="Stop the schedules of all sources and SIEMs, as for a drill.")
    ] = False,
    without_secrets: Annotated[
        bool,
        typer.Option("--without-secrets", help="Restore the store alone. Apply your sources and SIEMs again then."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Restore a backup, and prove it by the hash chains. Exit code 1 if they do not match.

    Raises ThirdPartyConfigError if there is a store already, or for another passphrase.
    """
    file = file.absolute()
    with byte_bar("Verifying the file", lambda: file.stat().st_size if file.is_file() else 0) as advance:
        backup = deferred.restore.open_backup(file, advance)
    store = deferred.restore.store_restore(backup)
    deferred.restore.require_possible(backup, store)
    content = None if without_secrets else backup.unseal(passphrase.read(passphrase_file))
    restored = _restore(backup, content, paused=paused)
    with progress_bar(lambda: backup.manifest.store.tables["events"].rows) as advance:
        proofs = deferred.restore.prove(backup, store, advance)
    deferred.restore.finish()
    sound = all(one.sound for one in proofs)
    for warning in restored.warnings if restored else ():
        print_warning(warning)
    if as_json:
        print_json(_as_json(backup.manifest, restored, proofs, paused=paused, sound=sound))
    else:
        _show(backup.manifest, restored, proofs, paused=paused)
    return DONE if sound else IN_ERROR


def _restore(backup: OpenedBackup, content: bytes | None, *, paused: bool) -> RestoredPrefect | None:
    if content is None:
        _place(backup, paused=paused)
        return None
    with prefect_session():
        deferred.restore.require_no_sources()
        _place(backup, paused=paused)
        saved = deferred.restore.decode(content)
        with progress_bar(lambda: len(saved.blocks) + len(saved.deployments) + len(saved.automations)) as advance:
            return deferred.restore.place_prefect(saved, paused=paused, advance=advance)


def _place(backup: OpenedBackup, *, paused: bool) -> None:
    store = deferred.restore.store_restore(backup)
    size = sum(one.size for one in backup.manifest.parts)
    with byte_bar("Restoring the store", lambda: size) as advance:
        deferred.restore.place_store(backup, store, paused=paused, advance=advance)


def _show(manifest: Manifest, restored: RestoredPrefect | None, proofs: Sequence[SourceProof], *, paused: bool) -> None:
    events = manifest.store.tables["events"].rows
    print_line(
        f"Restored {events:,} events as of {manifest.created[:19]}Z, from a backup of {printable(manifest.host)}."
    )
    if restored is not None:
        print_line(
            f"{len(restored.sources):,} sources, {restored.blocks:,} blocks, {restored.deployments:,} deployments and "
            f"{restored.automations:,} automations are on the Prefect server."
        )
    _show_proofs(proofs)
    _show_next(manifest, restored, paused=paused)


def _show_proofs(proofs: Sequence[SourceProof]) -> None:
    for one in proofs:
        if one.sound:
            print_line(
                f"Sound: {printable(one.source)}, {one.events:,} events, up to the link of the backup.", style="green"
            )
        else:
            print_line(f"NOT SOUND: {printable(one.source)} does not match the backup's checkpoint.", style="bold red")
            for problem in one.problems:
                print_indented(printable(problem), 4)


def _show_next(manifest: Manifest, restored: RestoredPrefect | None, *, paused: bool) -> None:
    if manifest.store.tables["pairs"].rows:
        print_note(SENT_AGAIN.format(created=manifest.created[:19] + "Z"))
    for name, value in manifest.settings.items():
        if name != "DATA_DIR":
            shown = "it is a secret, so it is not in the backup" if value is None else f"it was {value}"
            print_note(f"{settings.PREFIX}{name} was set where the backup was made ({shown}).")
    if restored is None:
        print_note(
            "Apply your sources and SIEMs again: `onepassword-source apply FILE`. Their events and cursors stay."
        )
    elif paused:
        print_note("Everything is stopped: `onepassword-source start NAME` and `siem resume NAME` start it.")
    print_note("Make sure that the old machine does not collect any more, and run `onepassword-source up`.")


def _as_json(
    manifest: Manifest,
    restored: RestoredPrefect | None,
    proofs: Sequence[SourceProof],
    *,
    paused: bool,
    sound: bool,
) -> dict[str, Any]:
    return {
        "time": manifest.created,
        "version": manifest.program,
        "schema": manifest.schema,
        "events": manifest.store.tables["events"].rows,
        "blocks": restored.blocks if restored else 0,
        "paused": paused,
        "sound": sound,
        "sources": [
            {"source": one.source, "events": one.events, "sound": one.sound, "problems": list(one.problems)}
            for one in proofs
        ],
    }
