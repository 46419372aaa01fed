"""The file that `--output` and `--html` name."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from blocks.errors import FirstPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def output_file(path: Path, flag: str = "--output", *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open the file for writing: a new file, or a pipe or device (/dev/null) as it is."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with open(path, **_mode(binary)) as file:  # noqa: PTH123 - as below
                yield file
        else:
            with _new_file(path.resolve(), binary=binary) as file:
                yield file
    except OSError as error:
        raise FirstPartyGenericError(
            f"{path} cannot be written: {error.strerror}.", hint=f"Choose another file with {flag}.", code="output"
        ) from error


@contextmanager
def _new_file(path: Path, *, binary: bool) -> Iterator[IO[Any]]:
    """A file that appears complete or not at all, readable only by its owner."""
    if path.is_dir():
        raise IsADirectoryError(21, "it is a directory")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")  # of mode 0600
    part = Path(name)
    try:
        with open(handle, **_mode(binary)) as file:  # noqa: PTH123 - a handle
            yield file
            file.flush()
            os.fsync(handle)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _mode(binary: bool) -> dict[str, Any]:
    return {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": ""}
