"""How many runs a worker starts at once. Nothing here imports Prefect."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN_BYTES, RUNS_LEAST = 85 * 10**6, 8
"""The memory (PSS) of a run that waits for its next attempt, and how many runs the smallest machine may have."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container finds its memory limit: with version 2 of control groups, and with version 1."""


def runs_at_once(limits: Iterable[Path] = LIMITS) -> int:
    """How many runs fit into half of the memory of this machine or of its container.

    A run that retries keeps its process for up to 90 minutes. In an outage of 1Password each source has one, and the
    machine must survive that: more runs wait until others have ended.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limits:
        with suppress(OSError, ValueError):  # no container, or "max"
            memory = min(memory, int(path.read_text()))
    return max(memory // 2 // RUN_BYTES, RUNS_LEAST)
