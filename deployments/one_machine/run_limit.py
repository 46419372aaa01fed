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
GROUPS = Path("/sys/fs/cgroup")
LIMITS = (GROUPS / "memory.max", GROUPS / "memory" / "memory.limit_in_bytes")
"""Where a container finds its memory limit: with version 2 of control groups, and with version 1."""


def limit_files(groups: Path = GROUPS, own: Path = Path("/proc/self/cgroup")) -> list[Path]:
    """The files with memory limits that apply to this process: those of a container, and of a service of systemd.

    `own` names the group of this process, as `0::/system.slice/x.service`. A limit of each group above applies, too.
    """
    found = [groups / path.relative_to(GROUPS) for path in LIMITS]
    with suppress(OSError):
        lines = own.read_text().splitlines()
        group = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
        inner = groups / group
        found += [each / "memory.max" for each in (inner, *inner.parents) if each != groups and groups in each.parents]
    return found


def runs_at_once(limits: Iterable[Path] | None = None) -> int:
    """How many runs fit into half of the memory of this machine, of its container or of its service (MemoryMax).

    A run that retries keeps its process for up to 90 minutes. In an outage of 1Password each source has one, and the
    machine must survive that: more runs wait until others have ended.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limit_files() if limits is None else limits:
        with suppress(OSError, ValueError):  # no container, or "max"
            memory = min(memory, int(path.read_text()))
    return max(memory // 2 // RUN_BYTES, RUNS_LEAST)
