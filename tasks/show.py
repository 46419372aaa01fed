"""Show a source's state: on its flow run, where a person looks, and in the store, where commands look."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NoReturn

import httpx
from prefect import get_client, get_run_logger
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from blocks.errors import SourceError
from blocks.store import sources
from tasks import stopping
from tasks.source import opened_store

if TYPE_CHECKING:
    from tasks.verdict import Verdict


def show(name: str, message: str = "", *, source_id: str | None = None) -> None:
    """Name the running flow run's state; once the source's id is known, the store remembers it too.

    A state is a sign for people: where it cannot be set, collecting goes on.
    """
    state: State[None] = State(type=StateType.RUNNING, name=name, message=message or None)
    _set(state)
    if source_id:
        remember(source_id, name, message)


def remember(source_id: str, name: str, message: str) -> None:
    """Keep the state of a source in its store, where commands look that do not ask Prefect."""
    if (engine := opened_store(source_id)) is None:
        return
    try:
        sources.show_state(engine, source_id, name, message, str(flow_run.id))
    except SourceError as error:
        get_run_logger().warning("The state %s could not be kept in the store. %s", name, error)


def final_state(found: Verdict) -> State[None]:
    """The final state of a run that came to this."""
    make = Failed if found.in_error else Cancelled if found.name == "Stopped" else Completed
    return make(name=found.name, message=found.message)


def end_now(state: State[None]) -> NoReturn:
    """Show a final state and end this process: readers that wait for their next attempt cannot be woken."""
    _set(state)
    logging.shutdown()
    os._exit(stopping.at_end(state.name or "", state.message or ""))


def _set(state: State[None]) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, state)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("The state %s could not be shown in Prefect (%s).", state.name, type(error).__name__)
