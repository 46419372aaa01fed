"""What a run looks to while its readers read, and once they are done: being asked to stop, and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger

from blocks.errors import SourceError
from blocks.store import sources
from tasks import stopping
from tasks.assess import assess
from tasks.publish import publish
from tasks.source import opened_store

if TYPE_CHECKING:
    from tasks.open_source import Opened


def watch(opened: Opened) -> None:
    """Notice that someone asked this run to end, and pass on what its readers found. Its own trouble is no matter."""
    engine = opened_store(opened.source_id)
    try:
        if engine is not None and sources.stop_requested(engine, opened.source_id, opened.opened_ns):
            stopping.requested.set()
    except SourceError:
        return  # the readers have the same trouble, and tell
    publish(opened.source_id)


def look_over(source: str, source_id: str) -> None:
    """Assess the source at the end of a run, and pass on what was found."""
    try:
        assess(source)
    except SourceError as error:
        get_run_logger().warning("The health of the source could not be assessed. %s", error)
    publish(source_id)
