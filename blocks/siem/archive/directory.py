"""An archive in a directory of this machine. A file gets its name only when it is complete and on the disk.

obstore can write files, too, but it offers no fsync, and its file modes depend on the umask.
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
_CONFIGURATION_ERRNOS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Directory:
    """Files below a directory. The directory must exist: a missing one may be a disk that is not mounted.

    Files and directories are for the user alone (0600, 0700). Raises ThirdPartyConfigError if you must act (it is
    missing, read-only or belongs to another user), and ThirdPartyGenericError if the problem is temporary (a full or
    failing disk). For the forwarder, a directory is a third party like any other: collection continues.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"Directory({str(self._root)!r})"

    def write(self, name: str, content: bytes, content_type: str) -> None:  # noqa: ARG002 - a file has no type
        try:
            self._write(Path(name), content)
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
        return f"{self._root} is writable."

    def _write(self, name: Path, content: bytes) -> None:
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
        # All levels: an existing one may come from a writer that was killed before its fsync.
        for directory in (below, *below.parents):
            descriptor = os.open(self._root / directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _error(self, error: OSError) -> SourceError:
        said = f"{self._root} is not writable ({error.strerror or type(error).__name__})."
        code = errno.errorcode.get(error.errno or 0, "EIO")
        if error.errno in _CONFIGURATION_ERRNOS:
            hint = "Create the directory, and allow the user of this program to write to it."
            return ThirdPartyConfigError(said, hint=hint, code=code)
        hint = "Free space on the disk." if error.errno in _FULL else "Check the disk and the system's log."
        return ThirdPartyGenericError(said, hint=f"{hint} The file is written again.", code=code)


def _sweep(path: Path) -> None:
    """Remove the temporary files of this file that a killed writer left: no process holds their lock."""
    for left in path.parent.glob(f".{path.name}.*{_TEMPORARY}"):
        with contextlib.suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
