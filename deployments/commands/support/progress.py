"""Progress on a terminal while a run works: a spinner with one line, or a bar."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from deployments.commands.support.retries import clock_of
from deployments.terminal_output import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.status import Status

    from blocks.store.forwarding.forward_status import PositionStatus
    from blocks.store.source_status import StreamStatus

REFRESH_SECONDS = 1.0

T = TypeVar("T")


@contextmanager
def status_line(line: Callable[[], str | None]) -> Iterator[Callable[[], None]]:
    """Show the text of `line`, read every second in a thread; None keeps the old text. Yields what ends it."""
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


@contextmanager
def progress_bar(total: Callable[[], int]) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere. `total` is called for the bar only. Yields what advances it."""
    number = total() if sys.stderr.isatty() else 0
    if not number:
        yield lambda _: None
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=ERROR, transient=True) as bar:
        task = bar.add_task("", total=number)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def byte_bar(text: str, total: Callable[[], int]) -> Iterator[Callable[[int], None]]:
    """As `progress_bar`, for bytes, with a text before it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERROR, transient=True) as bar:
        task = bar.add_task(text, total=total() or None)
        yield lambda steps: bar.advance(task, steps)


def gather_with_bar(text: str, done: Iterable[T], total: int, *, step: Callable[[T], bool] = lambda _: True) -> list[T]:
    """Gather the items in a list, with a bar on a terminal. `step`: whether an item counts towards the total."""
    if not sys.stderr.isatty():
        return list(done)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    gathered: list[T] = []
    with Progress(*columns, console=ERROR, transient=True) as bar:
        task = bar.add_task(text, total=total)
        for one in done:
            gathered.append(one)
            if step(one):
                bar.advance(task)
    return gathered


def retry_suffix(streams: Iterable[StreamStatus | PositionStatus]) -> str:
    """The end of a progress line while APIs wait for their next attempt; empty if none does."""
    waiting = [one for one in streams if one.is_retried]
    names = ", ".join(sorted({f"{one.api} (attempt {one.failed_attempts + 1:,})" for one in waiting}))
    times = [one.retries_ns for one in waiting if one.retries_ns is not None]
    until = f", waits until {clock_of(min(times))} UTC" if times else ""
    return f"; retrying {names}{until} (Ctrl-C stops)" if names else ""


def _watch(line: Callable[[], str | None], sign: Status, done: threading.Event) -> None:
    while not done.wait(REFRESH_SECONDS):
        if text := line():
            sign.update(Text(text))  # rich would read markup in a str
