"""A log file of bounded size: new lines push out the oldest file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import IO

BYTES = 5_000_000


def last_line(text: str) -> str:
    """The last line that is not blank, or an empty string."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


class RotatingLog:
    """Appends lines to a file of mode 0600, and keeps the file before it as `NAME.1`. Threads may share it.

    Both files together hold at most twice `limit` bytes. On a full disk lines are lost, and the caller goes on.
    """

    def __init__(self, path: Path, limit: int = BYTES) -> None:
        self.path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def write(self, line: str) -> None:
        """Append one line, given without its line end."""
        data = f"{line}\n".encode(errors="replace")
        with self._lock:
            try:
                self._append(data)
            except OSError:  # no room, or the directory is gone
                self._close()

    def last_line(self) -> str:
        """The last line that is not blank."""
        try:
            return last_line(self.path.read_text(errors="replace"))
        except OSError:
            return ""

    def close(self) -> None:
        with self._lock:
            self._close()

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
            self.path.chmod(0o600)
        if self._file.tell() + len(data) > self._limit:
            self._close()
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            self._file = self.path.open("ab", buffering=0)
            self.path.chmod(0o600)
        self._file.write(data)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
