"""Restores a backup: the store, then the blocks, schedules and automations of Prefect.

A marker in the data directory says which backup is being restored. A restore that was killed is continued by the same
command, and `up` does not start before it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from blocks import settings
from blocks.backup import manifest as manifests
from blocks.backup import secret_box
from blocks.backup.manifest import SECRETS, Manifest
from blocks.backup.sealed_archive import Part, SealedArchive, open_sealed
from blocks.backup.store_reader import StoreRestore
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store.engine import opened_engine
from blocks.store.transfer import proof
from deployments.prefect_api import restore_marker, up_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blocks.store.transfer.proof import SourceProof
    from deployments.backups.prefect_content import PrefectContent
    from deployments.backups.prefect_restore import RestoredPrefect


@dataclass(frozen=True)
class OpenedBackup:
    """A backup whose bytes were verified, with its manifest."""

    archive: SealedArchive
    manifest: Manifest

    def unseal(self, passphrase: str) -> bytes | None:
        """What it keeps of Prefect, as JSON; None if it keeps nothing. Raises ThirdPartyConfigError."""
        entries = {one.name: Part(one.name, one.size, one.sha256) for one in self.manifest.parts}
        for part, file in self.archive.read(entries):
            if part.name == SECRETS:
                return secret_box.unseal(file.read(part.size), passphrase)
        return None


def open_backup(path: Path, advance: Callable[[int], object] = lambda _: None) -> OpenedBackup:
    """Verify the file and read its manifest. `advance` is called with numbers of bytes.

    Raises FirstPartyGenericError if a byte differs, StoreVersionError if a newer program made it.
    """
    try:
        archive = open_sealed(path, advance)
    except OSError as error:
        raise ThirdPartyConfigError(
            f"{path} cannot be read: {error.strerror}. Nothing was restored.", hint="Name a backup.", code="usage"
        ) from None
    return OpenedBackup(archive, manifests.parse(archive.manifest()))


def store_restore(backup: OpenedBackup) -> StoreRestore:
    """The restore of its store into the database of the settings."""
    return StoreRestore(
        backup.archive, backup.manifest, settings.database_url(), settings.data_dir() / ".restoring-store"
    )


def require_possible(backup: OpenedBackup, store: StoreRestore) -> None:
    """Raises an error if `up` runs, there is a store already, or the restore of another backup is not complete."""
    if up_lock.is_held():
        raise FirstPartyGenericError(
            "`up` is running with this data directory. Nothing was restored.",
            hint="Stop it with Ctrl-C, and restore into an empty data directory.",
            code="restore",
        )
    begun = restore_marker.read()
    if begun is None:
        store.require_empty()
        store.require_room()
    elif begun != backup.archive.sha256:
        raise FirstPartyGenericError(
            "The restore of another backup was interrupted here, and is not complete. Nothing was changed.",
            hint=f"Restore that backup again: it continues. Or empty {settings.data_dir()} and the database first.",
            code="restore",
        )


def require_no_sources() -> None:
    """Raises ThirdPartyConfigError if the Prefect server has sources already. Call it within a `prefect_session`."""
    from deployments.backups import prefect_content  # noqa: PLC0415 - imports Prefect

    if restore_marker.read() is None and prefect_content.holds_sources():
        raise ThirdPartyConfigError(
            "The Prefect server has sources already, so their tokens and schedules would be mixed with those of the "
            "backup. Nothing was restored.",
            hint=f"Restore into an empty directory: {settings.PREFIX}DATA_DIR=/another/directory",
            code="restore",
        )


def place_store(
    backup: OpenedBackup, store: StoreRestore, *, paused: bool, advance: Callable[[int], object] = lambda _: None
) -> None:
    """Restore the store, unless an earlier call has done so. `advance` is called with numbers of bytes or rows."""
    restore_marker.write(backup.archive.sha256)
    if store.is_placed():
        store.settle(paused=paused)
        return
    try:
        store.place(advance, paused=paused)
    except FirstPartyGenericError:
        if store.is_file:
            restore_marker.remove()  # everything is as it was before
        raise


def place_prefect(
    content: PrefectContent, *, paused: bool, advance: Callable[[int], object] = lambda _: None
) -> RestoredPrefect:
    """Restore what the backup keeps of Prefect. Call it within a `prefect_session`."""
    from deployments.backups import prefect_restore  # noqa: PLC0415 - imports Prefect

    return prefect_restore.restore(content, paused=paused, advance=advance)


def decode(content: bytes) -> PrefectContent:
    """What a backup keeps of Prefect. Call it within a `prefect_session`."""
    from deployments.backups.prefect_content import PrefectContent  # noqa: PLC0415 - imports Prefect

    return msgspec.json.decode(content, type=PrefectContent)


def prove(
    backup: OpenedBackup, store: StoreRestore, advance: Callable[[int], object] = lambda _: None
) -> list[SourceProof]:
    """Compare the hash chains of the restored store with those of the backup. `advance`: numbers of events."""
    with opened_engine(store.url) as engine:
        return proof.prove(engine, backup.manifest.store.checkpoints, advance)


def finish() -> None:
    """Record that the restore is complete: `up` may start."""
    restore_marker.remove()
