"""Whether a disk has room for what is about to be written to it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from pathlib import Path


def require_room(directory: Path, needed: float, consequence: str, hint: str) -> None:
    """Raises FirstPartyGenericError if fewer bytes than `needed` are free in the directory."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise FirstPartyGenericError(
            f"There is too little space in {directory}: {free / 1e6:,.1f} MB are free, and {needed / 1e6:,.1f} MB are "
            f"needed. {consequence}",
            hint=hint,
            code="backup-space",
        )
