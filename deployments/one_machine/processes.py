"""Prefect's own processes as children of `up`: started, watched, stopped, and never left behind.

Each child is a process group of its own, so that Ctrl-C in a terminal reaches only `up`, which stops its children in
order. Each child holds a pipe to `up`, so that it ends by itself when `up` is killed.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

from blocks import python_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL_SECONDS = 0.05
ALONE_SECONDS = 5.0
"""How long a child and its runs may take to end after `up` was killed."""
FIRST_DELAY, LONGEST_DELAY, STEADY_AFTER = 1.0, 60.0, 120.0
"""Seconds before a child that died is restarted, doubled each time until one has lived for STEADY_AFTER."""


def command(module: str, arguments: Sequence[str]) -> list[str]:
    """The command line of a module that ends when the process at the other end of its standard input does."""
    return python_process.command("deployments.one_machine.processes", module, *arguments)


class Child:
    """A Python module (by default Prefect's command line) as a child process.

    Its output goes to a file, or line by line to a function.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: IO[bytes] | Callable[[str], None],
        module: str = "prefect",
        *,
        watches_parent: bool = False,
    ) -> None:
        """`watches_parent` is True if the module itself calls `end_with_parent`, at its own time."""
        self.name = name
        own = python_process.command(module, *arguments)
        self._arguments = own if watches_parent else command(module, arguments)
        self._environment = dict(environment)
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._due = 0.0
        self._delay = FIRST_DELAY

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._arguments,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if callable(self._output) else self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started = time.monotonic()
        if callable(self._output):
            threading.Thread(target=_copy_lines, args=(self._process, self._output), daemon=True).start()

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._started

    def exit_code(self) -> int | None:
        """None while it runs, or before it was started."""
        return self._process.poll() if self._process else None

    def postpone(self) -> float:
        """Schedule the next start. Returns the delay in seconds."""
        if time.monotonic() - self._started > STEADY_AFTER:
            self._delay = FIRST_DELAY
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        self._due = time.monotonic() + delay
        return delay

    def is_due(self) -> bool:
        return self._process is None and time.monotonic() >= self._due

    def stop(self, signal_number: signal.Signals, seconds: float, is_urged: Callable[[], bool] = lambda: False) -> None:
        """Send the child a signal, then kill its whole group: after `seconds`, or once `is_urged` returns True."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal_number)
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline and not is_urged():
            time.sleep(POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the child and all that it started, which may have outlived it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


def _copy_lines(process: subprocess.Popen[bytes], output: Callable[[str], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - a pipe, as requested above
    with contextlib.suppress(ValueError, OSError):
        for line in process.stdout:
            output(line.decode(errors="replace").rstrip())


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGTERM)
    # A worker whose server is gone too retries for a long time before it ends.
    time.sleep(ALONE_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def end_with_parent() -> None:
    """End this process and its group when the process at the other end of standard input does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def main() -> None:
    """Run the module that the first argument names, with the other arguments, until the parent is gone."""
    os.umask(0o077)
    end_with_parent()
    module = sys.argv.pop(1)
    sys.argv[0] = module
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
