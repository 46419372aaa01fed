"""A stand-in for the flow `collect`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow, task


@task
def read(seconds: float) -> None:
    time.sleep(seconds)


@flow
def collect(source: str, seconds: float = 0) -> None:
    """Waits in a task's thread, as a reader does between two attempts: no signal can wake it."""
    seen = "\n".join([str(os.getpid()), os.getcwd(), *sorted(os.environ)])
    Path(os.environ["STAND_IN_SEEN"], source).write_text(seen)
    read.submit(seconds).result()
