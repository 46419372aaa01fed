"""What `up`, `console` and `server` write on the terminal: text for people, or JSON for a collector of logs.

Under systemd each line begins with its level, so that the journal shows it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import typer

from blocks.json_log import LEVELS, json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

JOURNAL = "JOURNAL_STREAM"
"""The variable in which systemd names the device and the inode of the stream that leads to the journal."""
WARNINGS = ("Warning: ", "Trouble: ")


class ServiceLog:
    """Writes a line for each event. Threads may share it."""

    def __init__(self, write: Callable[[str], None], *, is_json: bool = False, has_levels: bool = False) -> None:
        self._write = write
        self.is_json = is_json
        self.has_levels = has_levels

    @property
    def may_show_secrets(self) -> bool:
        """True for a terminal. The journal and files are read by others, and kept."""
        return not self.is_json and not self.has_levels

    def __call__(
        self, text: str, *, level: str | None = None, part: str = "up", event: str = "note", **fields: Any
    ) -> None:
        """Write one line. `level` is read from the text if it is not given; `fields` are for JSON."""
        level = level or ("warning" if text.startswith(WARNINGS) else "info")
        if self.is_json:
            self._write_at(level, json_line(text.strip(), level=level, part=part, event=event, **fields))
            return
        for line in text.splitlines():
            self._write_at(level, line)

    def relay(self, line: str, members: Mapping[str, Any]) -> None:
        """Write a line of JSON of a child process as it is. `members` are those of the line."""
        self._write_at(str(members.get("level")), line)

    def _write_at(self, level: str, line: str) -> None:
        self._write(f"<{LEVELS.get(level, LEVELS['info'])}>{line}" if self.has_levels else line)


def open_log(log_format: str, write_text: Callable[[str], None]) -> ServiceLog:
    """The log of this process: JSON on standard output, or text by `write_text` on standard error."""
    if log_format == "json":
        return ServiceLog(_write_json, is_json=True, has_levels=leads_to_journal(sys.stdout))
    return ServiceLog(write_text, has_levels=leads_to_journal(sys.stderr))


def leads_to_journal(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """True if what is written to the stream arrives in systemd's journal."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get(JOURNAL) == f"{found.st_dev}:{found.st_ino}"


def _write_json(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


def parsed(line: str) -> dict[str, Any] | None:
    """The members of a line of JSON; None for another line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def as_json(line: str, part: str) -> str:
    """The line as JSON. What other libraries write (uvicorn, a traceback) is put into an object."""
    return line if parsed(line) is not None else json_line(line, level="info", part=part, event="log")


class JsonLines(io.TextIOBase):
    """A text stream whose lines are written to another one as JSON. Threads may share it."""

    def __init__(self, stream: IO[str], part: str) -> None:
        super().__init__()
        self._stream = stream
        self._part = part
        self._begun = ""
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in filter(str.strip, lines):
                self._stream.write(f"{as_json(line, self._part)}\n")
            self._stream.flush()
        return len(text)
