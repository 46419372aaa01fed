"""The file of a backup: complete or not there at all, and readable only by its owner.

It is written beside its place under a hidden name, synced and renamed. Nothing here imports Prefect.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments.prefect_api import file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PART_END, STORE_END = ".backup-part", ".backup-store"


def require_writable(path: Path, *, force: bool) -> None:
    """Raises ThirdPartyConfigError if the file exists and may not be replaced, or its directory is missing."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise ThirdPartyConfigError(f"{path} is not a file.", hint="Name a file for the backup.", code="usage")
    if path.exists() and not force:
        raise ThirdPartyConfigError(
            f"{path} exists already. No backup was made.",
            hint="Name another file, such as one with the date; or replace this one with --force.",
            code="usage",
        )
    if not path.absolute().parent.is_dir():
        raise ThirdPartyConfigError(
            f"There is no directory {path.absolute().parent}. No backup was made.", hint="Make it first.", code="usage"
        )


@contextmanager
def new_file(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A hidden file that is renamed at the end, and a name for a copy of the store beside it.

    A killed backup leaves both. The next one in that directory removes them.
    """
    path = path.absolute()
    _remove_leftovers(path.parent)
    part = path.with_name(f".{path.name}{PART_END}")
    descriptor = file_lock.open_lock(part)
    if not file_lock.try_lock(descriptor):
        os.close(descriptor)
        raise FirstPartyGenericError(
            f"Another backup to {path} is being made. Nothing was changed.",
            hint="Wait until it ends, or name another file.",
            code="backup-busy",
        )
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.truncate(0)
            os.fchmod(descriptor, stat.S_IRUSR | stat.S_IWUSR)
            yield file, path.with_name(f".{path.name}{STORE_END}")
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _write_error(path, error) from None
    finally:
        part.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_leftovers(directory: Path) -> None:
    """Remove the files of killed backups: those whose lock no process holds."""
    for part in directory.glob(f".*{PART_END}"):
        descriptor = file_lock.open_lock(part)
        if file_lock.try_lock(descriptor):
            for left in (part, part.with_name(part.name.removesuffix(PART_END) + STORE_END)):
                left.unlink(missing_ok=True)
        os.close(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_error(path: Path, error: OSError) -> FirstPartyGenericError:
    return FirstPartyGenericError(
        f"The backup {path} cannot be written: {error.strerror}. No backup was made; the store is not affected.",
        hint="Free space on that disk, or name a file on another one.",
        code="backup-space",
    )
