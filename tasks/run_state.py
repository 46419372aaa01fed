"""Set the state of a source: on its flow run for people, and in the store for commands."""

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
    """Set the name of the running state of this flow run; with a `source_id`, save it in the store, too.

    The state is for people. If it cannot be set, the run continues.
    """
    state: State[None] = State(type=StateType.RUNNING, name=name, message=message or None)
    _set(state)
    if source_id:
        save_state(source_id, name, message)


def save_state(source_id: str, name: str, message: str) -> None:
    """Save the state of a source in its store, for the commands that do not use Prefect."""
    if (engine := store_if_open(source_id)) is None:
        return
    try:
        sources.save_state(engine, source_id, name, message, str(flow_run.id))
    except SourceError as error:
        get_run_logger().warning("The state %s could not be saved in the store. %s", name, error)


def conclude(verdict: Verdict) -> State[Any]:
    """The final state of this run. An error is set as a state of its own before it, so that the history shows it.

    After a stop request an error becomes Stopped: it was not retried, so it may be harmless.
    """
    if verdict.in_error and stopping.requested.is_set():
        verdict = Verdict(STOPPED, verdict.message)
    if verdict.in_error:
        set_state("Error", f"{verdict.name}: {verdict.message}")
    return final_state(verdict)


def final_state(verdict: Verdict) -> State[Any]:
    """Failed, Cancelled or Completed, with the message "OUTCOME: SENTENCE"."""
    make = Failed if verdict.in_error else Cancelled if verdict.name == STOPPED else Completed
    return make(message=f"{verdict.name}: {verdict.message}")


def outcome_of(state: State[Any]) -> Verdict:
    """The verdict in a state of `final_state`. Of a state that Prefect itself has set: its name and message."""
    message = state.message or ""
    if parts := _OUTCOME.fullmatch(message):
        return Verdict(parts[1], parts[2])
    return Verdict(state.name or "", message)


def exit_now(verdict: Verdict, *last_steps: Callable[[], object]) -> NoReturn:
    """Set the final state and exit this process: readers that wait for their next attempt cannot be woken.

    `last_steps` run beside that, in threads. Together they have `stopping.exit_seconds`: a server may hang.
    """
    verbs = (lambda: _end(verdict), *last_steps)
    steps = [Thread(target=copy_context().run, args=(verb,), daemon=True) for verb in verbs]
    for step in steps:
        step.start()
    deadline = time.monotonic() + stopping.exit_seconds
    for step in steps:
        step.join(max(deadline - time.monotonic(), 0))
    os._exit(stopping.exit_hook(verdict.name, verdict.message))


def exit_while_waiting(why: str) -> NoReturn:
    """Exit a run whose main thread waits for the next attempt of a step, such as opening the source."""
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
