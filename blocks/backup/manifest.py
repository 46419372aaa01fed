"""The manifest of a backup: what made it and when, what is in it, and the heads of the hash chains at that time."""

from __future__ import annotations

from typing import Literal

import msgspec

from blocks.errors import FirstPartyGenericError, StoreVersionError
from blocks.store import schema_version
from blocks.store.integrity.checkpoints import Checkpoint
from blocks.store.transfer.content import StreamContent

FORM = 1
"""The version of the format. A change that an older program would misread raises it."""
STORE_FILE = "store/events.db"
SECRETS = "prefect.json.enc"


class PartEntry(msgspec.Struct, frozen=True):
    """A file in the archive, with its size in bytes and the SHA-256 of its content."""

    name: str
    size: int
    sha256: str


class TableEntry(msgspec.Struct, frozen=True):
    """A table of the store: its columns in the order of the copied text, and its number of rows."""

    columns: list[str]
    rows: int


class StoreContent(msgspec.Struct, frozen=True):
    """What is in the store at one moment. `sequences`: the last id that a table has given, also to removed rows."""

    tables: dict[str, TableEntry]
    sequences: dict[str, int]
    streams: list[StreamContent]
    checkpoints: list[Checkpoint]


class Manifest(msgspec.Struct, frozen=True):
    """Times are RFC 3339. `settings` has the value of each setting that was set, or null if it is a secret."""

    format: int
    program: str
    prefect: str
    created: str
    host: str
    database: Literal["sqlite", "postgresql"]
    schema: str
    store: StoreContent
    parts: list[PartEntry]
    settings: dict[str, str | None]
    other_stores: list[str] = []
    """Sources whose block names another store: their events are not in this backup."""

    def encode(self) -> bytes:
        """The manifest as JSON for people and programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


class _Version(msgspec.Struct):
    format: int
    program: str
    schema: str


def parse(content: bytes) -> Manifest:
    """The manifest of JSON.

    Raises FirstPartyGenericError or StoreVersionError if a newer program made the backup.
    """
    try:
        version = msgspec.json.decode(content, type=_Version)
    except msgspec.MsgspecError:
        raise _unreadable() from None
    if version.format > FORM:
        raise StoreVersionError(
            f"The backup was made by version {version.program} of onepassword-source, in the format {version.format}. "
            f"This version reads the formats up to {FORM}. Nothing was restored.",
            hint="Install that version or a newer one, and restore the backup with it.",
            code="backup-version",
        )
    if version.schema > schema_version.HEAD:
        raise StoreVersionError(
            f"The backup was made by version {version.program} of onepassword-source, whose store has the schema "
            f"{version.schema}; this version knows {schema_version.HEAD}. Nothing was restored.",
            hint="Install that version or a newer one, and restore the backup with it.",
            code="backup-version",
        )
    try:
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError:
        raise _unreadable() from None


def _unreadable() -> FirstPartyGenericError:
    return FirstPartyGenericError(
        "The manifest of the backup cannot be read. Nothing was restored.",
        hint='Use another backup, or unpack this one by hand: the page "The format of a backup" of the documentation '
        "says how.",
        code="backup-manifest",
    )
