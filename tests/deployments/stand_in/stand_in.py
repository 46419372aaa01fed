"""A stand-in for the flow `collect`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Cancelled, Completed, State


@flow
def collect(source: str, pages: int = 0, deaf: bool = False) -> State[Any]:
    """Read pages of half a second each, and on SIGTERM end after the current page, unless `deaf`."""
    pages_requested: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: pages_requested.append(number))
    _write(source, str(os.getpid()), str(Path.cwd()), *sorted(os.environ))
    for page in range(pages):
        if pages_requested and not deaf:
            return Cancelled(message="Stopped: after a page.")
        _write(f"{source}.pages", f"begin {page}")
        time.sleep(0.5)
        _write(f"{source}.pages", f"commit {page}")
    return Completed()


def _write(name: str, *lines: str) -> None:
    with Path(os.environ["STAND_IN_SEEN"], name).open("a") as file:
        file.write("\n".join(lines) + "\n")
