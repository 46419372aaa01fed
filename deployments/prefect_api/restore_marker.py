"""The file that says that a restore is not complete. `up` does not start while it exists."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from pathlib import Path


def read() -> str | None:
    """The SHA-256 of the backup whose restore has begun; None if there is no such restore."""
    try:
        return _path().read_text().strip()
    except FileNotFoundError:
        return None


def write(sha256: str) -> None:
    """Record that the restore of this backup has begun. Raises FirstPartyGenericError if that cannot be written."""
    part = _path().with_suffix(".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123 - needs a mode
            file.write(f"{sha256}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(_path())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FirstPartyGenericError(
            f"The restore cannot begin: {error.strerror}. Nothing was restored; the backup is as it was.",
            hint=f"Free space in {part.parent}, and run the same command again.",
            code="restore",
        ) from None


def remove() -> None:
    """Record that the restore is complete."""
    _path().unlink(missing_ok=True)


def require_complete() -> None:
    """Raises FirstPartyGenericError if a restore was interrupted."""
    if read() is not None:
        raise FirstPartyGenericError(
            "A restore into this data directory was interrupted. Nothing is collected until it is complete.",
            hint="Run `onepassword-source restore FILE` again with the same backup: it continues.",
            code="restore",
        )


def _path() -> Path:
    return settings.data_dir() / "restoring"
