"""Prefect's own files on this machine, and the error if another process uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from pathlib import Path


def prefect_home() -> Path:
    """Prefect's own files on this machine: its database and its storage. Made with mode 0700."""
    path = settings.data_dir() / "prefect"
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path


def prefect_database() -> Path:
    return prefect_home() / "prefect.db"


def in_use_error() -> FirstPartyGenericError:
    """The error if another process still uses the secrets that a rotation would replace."""
    return FirstPartyGenericError(
        "The secrets cannot be rotated while `up`, or another command that uses Prefect, is running.",
        hint="Stop `up` with Ctrl-C, let other commands end, and try again. Nothing was changed.",
    )
