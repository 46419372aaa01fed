"""The free space of disks, and numbers of bytes for people."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GB = 10**9


def free_space(places: Sequence[Path]) -> list[tuple[Path, int]]:
    """The free space of each file system, once."""
    room: dict[int, tuple[Path, int]] = {}
    for place in places:
        if place.exists():
            room.setdefault(place.stat().st_dev, (place, shutil.disk_usage(place).free))
    return list(room.values())


def format_bytes(count: int) -> str:
    """A number of bytes for people: `1.2 GB`."""
    for unit, size in (("TB", 10**12), ("GB", GB), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count / 1000:.0f} kB"
