"""Run a command in a pseudo-terminal of 80 columns, wait for texts in its output, and type answers."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.one_machine import wait_until

from deployments import cli
from deployments.terminal_output import ERROR, OUT

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
        [sys.executable, "-ISc", _OWN_TERMINAL, *command],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**(os.environ if env is None else env), "COLUMNS": str(columns), "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        shown = _talk(screen, list(talk), psutil.Process(process.pid))
        return process.wait(_SECONDS), shown
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def shown_on_terminal(arguments: Sequence[str], columns: int = 80) -> tuple[int, str]:
    """Run a command of `onepassword-source` in this process, with a pseudo-terminal as its output.

    Returns the exit code and all output. A command that reads what you type, or a signal, needs `in_terminal`.
    """
    screen, terminal = pty.openpty()
    directory = Path.cwd()
    with (
        ThreadPoolExecutor(1) as reader,
        pytest.MonkeyPatch.context() as patched,
        os.fdopen(terminal, "w", 1, "utf-8") as output,
    ):
        shown = reader.submit(_talk, screen, [])
        patched.setenv("COLUMNS", str(columns))
        patched.setenv("TERM", "xterm")
        try:
            with redirect_stdout(output), redirect_stderr(output):
                for console in (OUT, ERROR):  # they look at the terminal when they are made
                    made = type(console)(stderr=console.stderr, highlight=False, markup=False, emoji=False)
                    patched.setattr(console, "__dict__", vars(made))
                code = cli.main(arguments)
        finally:
            os.chdir(directory)  # the command has left it
            output.close()  # ends what is read from the screen
        text = shown.result()
    os.close(screen)
    return code, text


def _talk(screen: int, talk: list[tuple[str, str]], command: psutil.Process | None = None) -> str:
    shown, seen, deadline = "", 0, time.monotonic() + _SECONDS
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a character may lie in two chunks
    while chunk := _read(screen, deadline):
        shown += decoder.decode(chunk)
        if talk and (at := shown.find(talk[0][0], seen)) >= 0:
            seen = at + len(talk[0][0])
            answer = talk.pop(0)[1]
            if CTRL_C in answer and command is not None:
                # Between its last look for signals and its call of the kernel, Python takes a Ctrl-C and then waits
                # for a second one. When a person types, the command waits already.
                wait_until(lambda: command.status() == psutil.STATUS_SLEEPING, deadline - time.monotonic())
            os.write(screen, answer.encode())
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
