"""An archive in a directory of this machine: a file stands under its name only once it is whole and on the disk.

Object-store libraries write files too, but obstore's does not offer fsync, and its modes are those of the umask.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError

_MODE = 0o700
_TEMPORARY = ".tmp"
_TO_BE_MENDED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Directory:
    """Files below a directory, which must be there: what is missing may be a disk that is not mounted.

    What it makes is for its own user alone (0600, 0700). Raises ThirdPartyConfigError where a person must act (it is
    missing, read-only or another user's), ThirdPartyGenericError where that may pass (full, or a failing disk). To
    the forwarder a directory is a third party like any other: the source itself goes on collecting.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"Directory({str(self._root)!r})"

    def put(self, name: str, content: bytes, content_type: str) -> None:  # noqa: ARG002 - a file has no type
        try:
            self._put(Path(name), content)
        except OSError as error:
            raise self._error(error) from None

    def check(self) -> str:
        try:
            with tempfile.TemporaryFile(dir=self._root) as file:
                file.write(b"-")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._error(error) from None
        return f"{self._root} can be written."

    def _put(self, name: Path, content: bytes) -> None:
        self._make(name.parent)
        path = self._root / name
        _sweep(path)
        descriptor, temporary = tempfile.mkstemp(_TEMPORARY, f".{path.name}.", path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._sync(name.parent)

    def _make(self, below: Path) -> None:
        directory = self._root
        for part in below.parts:
            directory /= part
            with contextlib.suppress(FileExistsError):
                directory.mkdir(_MODE)

    def _sync(self, below: Path) -> None:
        # All of them: one that is there may have been made by a writer that was killed before it could do this.
        for directory in (below, *below.parents):
            descriptor = os.open(self._root / directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _error(self, error: OSError) -> SourceError:
        said = f"{self._root} cannot be written ({error.strerror or type(error).__name__})."
        code = errno.errorcode.get(error.errno or 0, "EIO")
        if error.errno in _TO_BE_MENDED:
            hint = "Make the directory, and let the user of this program write in it."
            return ThirdPartyConfigError(said, hint=hint, code=code)
        hint = "Make room on the disk." if error.errno in _FULL else "Look at the disk and at the system's log."
        return ThirdPartyGenericError(said, hint=f"{hint} The file is written again.", code=code)


def _sweep(path: Path) -> None:
    """Remove what a killed writer of this very file left: nobody holds its lock any more."""
    for left in path.parent.glob(f".{path.name}.*{_TEMPORARY}"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
