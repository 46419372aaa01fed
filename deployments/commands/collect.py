"""`onepassword-source collect`: run the flow in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.errors import SourceError
from blocks.store import source_status
from deployments import deferred
from deployments.commands.support.local_run import (
    CTRL_C_SECONDS,
    exit_code_of,
    headline,
    health_errors_hidden,
    outcome_of,
    print_stopped,
    require_source,
    shut_down,
)
from deployments.commands.support.options import Json, Name
from deployments.commands.support.progress import retry_suffix, status_line
from deployments.commands.support.status_table import stream_as_json, stream_table
from deployments.exit_codes import IN_ERROR, INTERRUPTED
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_fitting, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

    from deployments.json_records.sources import CollectRecord
    from deployments.prefect_api.server_access import PrefectAccess

DETAILS = """
Without `up`, it starts a temporary Prefect server. After exit code 3, new events may not be stored yet when the
command ends, but nothing is wrong.
"""


def command(name: Name, as_json: Json = False) -> int:
    """Collect once. Returns 0: done, 1: the source is in error, 3: other runs work on every API, 130: it was stopped.

    Raises ThirdPartyConfigError if there is no such source.
    """
    with prefect_session() as access:
        return collect_source(access, name, as_json=as_json)


def collect_source(access: PrefectAccess, name: str, *, as_json: bool) -> int:
    """The same within a `prefect_session`."""
    with health_errors_hidden(), status_line(lambda: _progress_line(name)) as end_progress:

        def end_at_once(outcome: str, message: str) -> int:
            end_progress()
            print_stopped({"source": name}, outcome, message, as_json=as_json)
            shut_down(access)
            return INTERRUPTED

        state = _collect(name, end_at_once)
    code, (outcome, message) = exit_code_of(state), outcome_of(state)
    _show(name, outcome, message, code, as_json=as_json)
    return code


def _collect(name: str, end_at_once: Callable[[str, str], int]) -> State[Any]:
    require_source(name)
    deferred.stopping.exit_hook, deferred.stopping.exit_seconds = end_at_once, CTRL_C_SECONDS
    state: State[Any] = deferred.collect.collect(name, return_state=True)
    return state


def _show(name: str, outcome: str, message: str, code: int, *, as_json: bool) -> None:
    source = _stored_source(name)
    if as_json:
        answer: CollectRecord = {
            "source": name,
            "source_id": source.id if source else None,
            "state": outcome,
            "message": message,
            "in_error": code == IN_ERROR,
            "flow_run_id": source.run_id if source else None,
            "apis": [stream_as_json(stream) for stream in source.streams] if source else [],
        }
        print_json(answer)
        return
    print_line(headline(outcome, message, code))
    if source:
        print_fitting(stream_table(source))


def _stored_source(name: str) -> source_status.SourceStatus | None:
    try:
        with source_status.opened_store() as engine:
            return source_status.sources(engine, name)[0]
    except SourceError:  # its store is elsewhere, or does not answer: the run's message says so
        return None


def _progress_line(name: str) -> str | None:
    source = _stored_source(name)
    if source is None:
        return None
    events = sum(stream.events for stream in source.streams)
    return f"{source.state}: {events:,} events stored{retry_suffix(source.streams)}"
