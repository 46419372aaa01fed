"""What applying sources needs before and after it: the block types, the automations, and the first runs.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import sources
from deployments.prefect_api import automations, source_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deployments.sources import AppliedSource


def prepare() -> tuple[str, ...]:
    """Register the block types, and create the automations. Returns warnings."""
    sources.register_blocks()
    return automations.ensure().warnings


def start_runs(applied: Iterable[AppliedSource]) -> dict[str, str]:
    """Start a run for each new or changed source that is not stopped. Returns the run ids by source name."""
    new = [one.name for one in applied if (one.restarted or one.change == "created") and not one.stopped]
    return {name: str(run) for name, run in source_runs.create_runs(new).items()} if new else {}
