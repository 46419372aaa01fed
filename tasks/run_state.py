"""Show a source's state: on its flow run, where a person looks, and in the store, where commands look."""

from __future__ import annotations

import logging
import os
import re
import time
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
from prefect import get_client, get_run_logger
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from blocks.errors import SourceError
from blocks.store import sources
from tasks.support import stopping
from tasks.support.source import store_if_open
from tasks.verdict import STOPPED, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_OUTCOME = re.compile(r"([A-Z]\w*): (.*)", re.DOTALL)


def set_state(name: str, message: str = "", *, source_id: str | None = None) -> None:
    """Name the running flow run's state; once the source's id is known, the store remembers it too.

    A state is a sign for people: where it cannot be set, collecting goes on.
    """
    state: State[None] = State(type=StateType.RUNNING, name=name, message=message or None)
    _set(state)
    if source_id:
        save_state(source_id, name, message)


def save_state(source_id: str, name: str, message: str) -> None:
    """Keep the state of a source in its store, where commands look that do not ask Prefect."""
    if (engine := store_if_open(source_id)) is None:
        return
    try:
        sources.save_state(engine, source_id, name, message, str(flow_run.id))
    except SourceError as error:
        get_run_logger().warning("The state %s could not be kept in the store. %s", name, error)


def conclude(found: Verdict) -> State[Any]:
    """The final state of this run, before which an error stands in the history as a state of its own.

    An error after a stop was requested is no reason to call for a person: nothing was tried again.
    """
    if found.in_error and stopping.requested.is_set():
        found = Verdict(STOPPED, found.message)
    if found.in_error:
        set_state("Error", f"{found.name}: {found.message}")
    return final_state(found)


def final_state(found: Verdict) -> State[Any]:
    """Failed, Cancelled or Completed, with the message "OUTCOME: SENTENCE"."""
    make = Failed if found.in_error else Cancelled if found.name == STOPPED else Completed
    return make(message=f"{found.name}: {found.message}")


def outcome_of(state: State[Any]) -> Verdict:
    """Read back what `final_state` made. Of a state that Prefect itself has set: its name, and its message."""
    message = state.message or ""
    if parts := _OUTCOME.fullmatch(message):
        return Verdict(parts[1], parts[2])
    return Verdict(state.name or "", message)


def exit_now(found: Verdict, *last_words: Callable[[], object]) -> NoReturn:
    """Show the final state and end this process: readers that wait for their next attempt cannot be woken.

    `last_words` are said side by side with that, and none of it keeps the process for long.
    """
    words = [Thread(target=copy_context().run, args=(one,), daemon=True) for one in (lambda: _end(found), *last_words)]
    for word in words:
        word.start()
    deadline = time.monotonic() + stopping.exit_seconds
    for word in words:
        word.join(max(deadline - time.monotonic(), 0))
    os._exit(stopping.exit_hook(found.name, found.message))


def exit_while_waiting(why: str) -> NoReturn:
    """End a run whose main thread waits for its next attempt: of a step without which there is nothing to read."""
    exit_now(Verdict(STOPPED, f"The run waited for its next attempt. {why}"))


def _end(found: Verdict) -> None:
    if found.name == STOPPED:
        set_state("Stopping", found.message)
    _set(conclude(found))
    logging.shutdown()


def _set(state: State[None]) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, state)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("The state %s could not be shown in Prefect (%s).", state.name, type(error).__name__)
