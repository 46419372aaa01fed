"""A secret in a file of its own, such as a systemd credential or a secret of a container."""

from __future__ import annotations

import os
import shlex
import stat
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from blocks.problems import ConfigurationError, Problem, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_MAX = 65_536
"""The size of a file of a secret: more than any token, key or certificate needs, and less than a wrong file has."""
PATH_SHOWN = 200
_TEXT_CONTROLS = "\t\n\r"  # of a key in PEM


def read(path: str, place: str) -> str:
    """The secret in a file, without the line end after it. Raises ConfigurationError with a problem at `place`.

    The path is absolute, because commands leave the directory in which they were started.
    """
    if not path.startswith("/") or "\0" in path:
        _refuse(place, f"the file {_quote(path)} has no absolute path", "a path that begins with /")
    text = _decode(_read_bytes(path, place), path, place).rstrip("\r\n")
    if not text.strip():
        _refuse(place, f"the file {_quote(path)} is empty", "the secret alone in its file")
    if any(unicodedata.category(char) == "Cc" and char not in _TEXT_CONTROLS for char in text):
        _refuse(place, f"the file {_quote(path)} holds control characters", "a file with the secret alone, as text")
    return text


def exposure(path: str) -> str | None:
    """A warning if other users of this machine may read the file; else None."""
    try:
        file = Path(path)
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode) or not mode & stat.S_IROTH or not all(map(_is_open, _directories(file))):
            return None
    except OSError:
        return None
    return (
        f"{path} holds a secret, and every user of this machine may read it (mode {stat.S_IMODE(mode):04o})."
        f" Run chmod 600 {shlex.quote(path)}, and renew the secret if you do not trust them."
    )


def _directories(file: Path) -> Iterator[Path]:
    """The directories that lead to the file, and those that lead to what it links to."""
    yield from file.parents
    yield from file.resolve().parents


def _is_open(directory: Path) -> bool:
    return bool(directory.stat().st_mode & stat.S_IXOTH)


def _read_bytes(path: str, place: str) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe would hang this process until a writer comes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                _refuse(place, f"{_quote(path)} is not a regular file", "a file that holds the secret")
            data = file.read(BYTES_MAX + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        _refuse(place, f"the file {_quote(path)} cannot be read: {why}", "a file that you may read")
    if len(data) > BYTES_MAX:
        _refuse(place, f"the file {_quote(path)} is larger than 64 KiB", "a file with the secret alone")
    return data


def _decode(data: bytes, path: str, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        _refuse(place, f"the file {_quote(path)} is not text in UTF-8", "a file with the secret alone, as text")


def _quote(path: str) -> str:
    return quote(path, PATH_SHOWN)


def _refuse(place: str, description: str, expected: str) -> NoReturn:
    raise ConfigurationError([Problem(place, description, expected)]) from None
