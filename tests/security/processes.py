"""Watches processes and their descendants while they run: what their command lines and environments say."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
from support.one_machine import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from security.search import Find, Search

EVERY_SECONDS = 0.15
BEGINNING = 14
"""How often a child is passed over that shows what its parent does: it has not begun its own program yet."""


class Watch:
    """A context manager that records what processes show; `finds` searches it."""

    def __init__(self) -> None:
        self._roots: dict[int, str] = {}
        self._seen: set[tuple[str, str, bytes]] = set()
        self._children: dict[int, set[int]] = {}
        self._beginning: Counter[int] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def follow(self, pid: int, name: str) -> None:
        """Watch this process and all that it starts, from now on."""
        self._children[pid] = set()
        self._roots[pid] = name

    def wait_for_children(self, pid: int) -> None:
        """Until a child of it was looked at."""
        wait_until(lambda: self._children[pid])

    def finds(self, search: Search) -> Iterator[Find]:
        for what, whose, data in sorted(self._seen):
            yield from search.data(data, f"{what} of {whose}")

    def processes(self, whose: str) -> int:
        """How many of a name were looked at (those with the same command line count as one)."""
        return len({data for what, name, data in self._seen if what == "command line" and name == whose})

    def _run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            for pid, name in list(self._roots.items()):
                with suppress(psutil.Error):
                    self._look(pid, name)
                    for child in psutil.Process(pid).children(recursive=True):
                        if not self._is_beginning(child.pid, pid):
                            self._look(child.pid, f"a child of {name}")
                            self._children[pid].add(child.pid)

    def _is_beginning(self, child: int, parent: int) -> bool:
        """Between fork and exec, the kernel shows the parent's command line and environment, as they were first."""
        self._beginning[child] += 1
        with suppress(OSError):
            same = Path(f"/proc/{child}/cmdline").read_bytes() == Path(f"/proc/{parent}/cmdline").read_bytes()
            return same and self._beginning[child] < BEGINNING
        return True

    def _look(self, pid: int, whose: str) -> None:
        with suppress(OSError):
            self._seen.add(("command line", whose, Path(f"/proc/{pid}/cmdline").read_bytes()))
            self._seen.add(("environment", whose, Path(f"/proc/{pid}/environ").read_bytes()))
