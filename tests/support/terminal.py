"""Run a command in a pseudo-terminal of 80 columns, wait for texts in its output, and type answers."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CTRL_C = "\x03"
_SECONDS = 120
# Not pty.fork(): a process with threads should not fork. SIGHUP is ignored, since this terminal closes
# with the command, and would end the processes that the command leaves running.
_OWN_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
)


def in_terminal(
    command: Sequence[str], talk: Sequence[tuple[str, str]], env: Mapping[str, str] | None = None, columns: int = 80
) -> tuple[int, str]:
    """Run a command. For each pair of `talk`, wait until the first text is shown, then type the second.

    Returns the exit code and all output.
    """
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _OWN_TERMINAL, *command],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**(os.environ if env is None else env), "COLUMNS": str(columns), "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        shown = _talk(screen, list(talk))
        return process.wait(_SECONDS), shown
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def _talk(screen: int, talk: list[tuple[str, str]]) -> str:
    shown, seen, deadline = "", 0, time.monotonic() + _SECONDS
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a character may lie in two chunks
    while chunk := _read(screen, deadline):
        shown += decoder.decode(chunk)
        if talk and (at := shown.find(talk[0][0], seen)) >= 0:
            seen = at + len(talk[0][0])
            os.write(screen, talk.pop(0)[1].encode())
    assert not talk, f"never shown: {talk[0][0]!r} in {shown}"
    return shown


def _read(screen: int, deadline: float) -> bytes:
    ready, _, _ = select.select([screen], [], [], max(deadline - time.monotonic(), 0))
    try:
        return os.read(screen, 65536) if ready else b""
    except OSError:  # Linux's way to say that the last one who held the terminal has gone
        return b""


def without_announcements(said: str) -> list[str]:
    """The lines on standard error but those that announce work that takes long: on a busy machine everything does."""
    return [line for line in said.splitlines() if not line.endswith("…")]
