"""On a terminal, a moving sign and one line of how far a run is, while it runs."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from deployments.commands.present import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.status import Status

LOOK_SECONDS = 1.0


@contextmanager
def moving_sign(line: Callable[[], str | None]) -> Iterator[Callable[[], None]]:
    """Show what `line` says, asked in a thread now and then; None leaves what was there. Gives what ends the sign."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    done = threading.Event()
    with ERROR.status("Starting…") as sign:
        watcher = threading.Thread(target=_watch, args=(line, sign, done), daemon=True)
        watcher.start()

        def end() -> None:
            done.set()
            watcher.join()
            sign.stop()

        try:
            yield end
        finally:
            end()


def retrying(apis: Iterable[str]) -> str:
    """What a line ends with where APIs wait for their next attempt; empty where none does."""
    names = ", ".join(apis)
    return f"; retrying {names} (Ctrl-C stops)" if names else ""


def _watch(line: Callable[[], str | None], sign: Status, done: threading.Event) -> None:
    while not done.wait(LOOK_SECONDS):
        if said := line():
            sign.update(Text(said))  # a str would be markup
