"""What the metrics show of the store itself: its size, the free disk, and the rate limits of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.store import last_backup, rate_limit_usage
from blocks.store.database_size import database_size
from blocks.store.engine import is_sqlite
from blocks.store.growth import growth_per_day
from deployments import disk_usage
from deployments.disk_space import free_space

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.last_backup import LastBackup
    from blocks.store.rate_limit_usage import RateLimitUsage
    from deployments.disk_usage import DiskPart


@dataclass(frozen=True, slots=True)
class StoreMeasures:
    """`size` is in bytes; `free` has the free bytes of each file system, by one directory of it.

    `growth` is in bytes a day. `parts` are what the disks of this machine hold.
    `backup` is None if none was ever made.
    """

    size: int
    growth: int
    free: tuple[tuple[Path, int], ...]
    rate_limits: tuple[RateLimitUsage, ...]
    parts: tuple[DiskPart, ...] = ()
    backup: LastBackup | None = None


def measure(engine: Engine) -> StoreMeasures:
    """Raises SourceError."""
    places = [settings.data_dir()]
    if is_sqlite(engine):
        places.insert(0, Path(str(engine.url.database)).absolute().parent)
    return StoreMeasures(
        size=database_size(engine).size,
        growth=growth_per_day(engine),
        free=tuple(free_space(places)),
        rate_limits=tuple(rate_limit_usage.usages(engine)),
        parts=tuple(disk_usage.parts(engine.url.render_as_string(hide_password=False))),
        backup=last_backup.find(engine),
    )
