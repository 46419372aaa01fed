"""What a run does beside reading: notice stop requests, publish health events, assess, log checkpoints."""

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
    """Notice a stop request, and publish new health events. An error of the store is ignored here."""
    engine = store_if_open(opened.source_id)
    try:
        if engine is not None and sources.stop_requested(engine, opened.source_id, opened.opened_ns):
            stopping.requested.set()
    except SourceError:
        return  # the readers report that the store does not answer
    publish(opened.source_id)


def report_failed_start(source: str, error: SourceError) -> None:
    """Report that a run could not begin, because of its configuration or an unexpected error, as a health event.

    Such a block may have no readable store or id. Those under which the source was last seen are used.
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
        get_run_logger().warning("The error could not be saved in the store. %s", unwritten)


def assess_and_publish(source: str, source_id: str) -> None:
    """Assess the source at the end of a run, publish its health events, and log a checkpoint of its hash chains."""
    try:
        with attempts.convert_unexpected():
            assess(source)
    except SourceError as error:
        get_run_logger().warning("The health of the source could not be assessed. %s", error)
    publish(source_id)
    _log_checkpoint(source_id)


def _log_checkpoint(source_id: str) -> None:
    """Prefect keeps the logs in another database. A chain that is rewritten in the store does not match them."""
    if (engine := store_if_open(source_id)) is None:
        return
    try:
        present = checkpoints.current(engine, source_id)
    except SourceError as error:
        get_run_logger().warning("The checkpoint of the hash chains could not be read. %s", error)
        return
    if present is not None:
        get_run_logger().info("Checkpoint of the hash chains: %s", present.line())
