"""What a run looks to while its readers read, and once they are done: being asked to stop, health, heads of chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger

from blocks.errors import SourceError, ThirdPartyConfigError, UnexpectedError
from blocks.health import ERROR, error_condition
from blocks.store import health, sources
from blocks.store.engine import writing
from blocks.store.integrity import checkpoints
from tasks import attempts
from tasks.assess import assess
from tasks.run_state import save_state
from tasks.support import stopping
from tasks.support.publish import publish
from tasks.support.source import default_store, loaded_id, store_if_open

if TYPE_CHECKING:
    from tasks.open_source import OpenedSource


def poll(opened: OpenedSource) -> None:
    """Notice that someone asked this run to end, and pass on what its readers found. Its own trouble is no matter."""
    engine = store_if_open(opened.source_id)
    try:
        if engine is not None and sources.stop_requested(engine, opened.source_id, opened.opened_ns):
            stopping.requested.set()
    except SourceError:
        return  # the readers have the same trouble, and tell
    publish(opened.source_id)


def report_failed_start(source: str, error: SourceError) -> None:
    """Note that a run could not even begin, for a wrong configuration or a fault in this program: a change of health.

    Such a block need not tell its own store or id: they are those under which the source was last seen.
    """
    if not isinstance(error, (ThirdPartyConfigError, UnexpectedError)):
        return
    try:
        engine = default_store()
        source_id = loaded_id(source) or sources.ids_by_name(engine).get(source)
        if source_id is None:
            return
        with writing(store_if_open(source_id) or engine) as connection:
            health.begin(connection, source_id, error_condition(error, ERROR))
        save_state(source_id, error.name, str(error))
        publish(source_id)
    except SourceError as unwritten:
        get_run_logger().warning("That could not be kept in the store. %s", unwritten)


def assess_and_publish(source: str, source_id: str) -> None:
    """Assess the source at the end of a run, and pass on what was found; and log up to where its chains have grown."""
    try:
        with attempts.convert_unexpected():
            assess(source)
    except SourceError as error:
        get_run_logger().warning("The health of the source could not be assessed. %s", error)
    publish(source_id)
    _log_checkpoint(source_id)


def _log_checkpoint(source_id: str) -> None:
    """Prefect keeps the logs of runs in another database: whoever makes new chains in the store does not reach them."""
    if (engine := store_if_open(source_id)) is None:
        return
    try:
        present = checkpoints.current(engine, source_id)
    except SourceError as error:
        get_run_logger().warning("The heads of the hash chains could not be read. %s", error)
        return
    if present is not None:
        get_run_logger().info("Heads of the hash chains: %s", present.line())
