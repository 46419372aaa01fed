"""`onepassword-source collect`: one run of the flow, in this process."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.text import Text

from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.store import source_status
from deployments.commands import status
from deployments.commands.support import deferred
from deployments.commands.support.options import Json, Name
from deployments.commands.support.output import print_fitting, print_json, print_line, printable
from deployments.commands.support.prefect_server import prefect_session, stop_temporary
from deployments.commands.support.progress import retry_suffix, status_line
from deployments.commands.support.run_log import health_errors_hidden
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prefect.client.schemas.objects import State

    from deployments.prefect_api.server_access import PrefectAccess

CTRL_C_SECONDS = 1.0
"""How long a person who has pressed Ctrl-C waits for what hangs."""
_WORST_FIRST = (INTERRUPTED, IN_ERROR, SKIPPED, DONE)
_NOT_DONE = frozenset({"Skipped", "Retrying"})  # other runs have every API


def command(name: Name, as_json: Json = False) -> int:
    """Collect once. 0: done, 1: the source is in error, 3: other runs have every API, 130: it was stopped.

    ThirdPartyConfigError where there is no such source.
    """
    with prefect_session() as access:
        return collect_source(access, name, as_json=as_json)


def collect_source(access: PrefectAccess, name: str, *, as_json: bool) -> int:
    """The same where Prefect is there already."""
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


def exit_code_of(state: State[Any]) -> int:
    """The exit code for the final state of a run.

    A run that left everything to other runs is neither done, since what is new may not be there yet when it ends, nor
    in error: so a script can tell it from both.
    """
    if state.is_cancelled():
        return INTERRUPTED
    if state.is_failed() or state.is_crashed():
        return IN_ERROR
    return SKIPPED if outcome_of(state)[0] in _NOT_DONE else DONE


def outcome_of(state: State[Any]) -> tuple[str, str]:
    """What a run came to, in one word and in sentences."""
    found = deferred.run_state.outcome_of(state)
    return found.name, found.message


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code of several runs, DONE where there was none."""
    return min(codes, key=_WORST_FIRST.index, default=DONE)


def headline(outcome: str, message: str, code: int) -> Text:
    """The outcome of a run and its message."""
    style = {IN_ERROR: "bold red", SKIPPED: "bold yellow"}.get(code, "bold green")
    return Text.assemble((f"{outcome}:", style), f" {printable(message)}")


def print_stopped(of: dict[str, str], outcome: str, message: str, *, as_json: bool) -> None:
    """What a run came to that a person has stopped while it waited: one line, and nothing that a store must answer."""
    if as_json:
        print_json({**of, "state": outcome, "message": message, "in_error": False})
    else:
        print_line(headline(outcome, message, INTERRUPTED))


def shut_down(access: PrefectAccess) -> None:
    """What is left to do in a process that ends at once: what was said is seen, and no server is left behind."""
    with suppress(OSError):
        sys.stdout.flush()
    if access.kind == "temporary":
        stop_temporary()


def require_source(name: str) -> None:
    """ThirdPartyConfigError where there is no such source."""
    if not deferred.sources.exists(name):
        raise ThirdPartyConfigError(
            f"There is no source named {name!r}.",
            hint="Create it with `onepassword-source apply FILE`; `onepassword-source status` lists those there are.",
            code="unknown-source",
        )


def _collect(name: str, end_at_once: Callable[[str, str], int]) -> State[Any]:
    require_source(name)
    deferred.stopping.at_end, deferred.stopping.end_seconds = end_at_once, CTRL_C_SECONDS
    state: State[Any] = deferred.collect.collect(name, return_state=True)
    return state


def _show(name: str, outcome: str, message: str, code: int, *, as_json: bool) -> None:
    source = _stored_source(name)
    if as_json:
        answer = {
            "source": name,
            "source_id": source.id if source else None,
            "state": outcome,
            "message": message,
            "in_error": code == IN_ERROR,
        }
        apis = [status.stream_as_json(stream) for stream in source.streams] if source else []
        print_json({**answer, "flow_run_id": source.run_id if source else None, "apis": apis})
        return
    print_line(headline(outcome, message, code))
    if source:
        print_fitting(status.stream_table(source))


def _stored_source(name: str) -> source_status.SourceStatus | None:
    try:
        return source_status.sources(source_status.open_store(), name)[0]
    except SourceError:  # its store is elsewhere, or gone: the run's message has said so
        return None


def _progress_line(name: str) -> str | None:
    source = _stored_source(name)
    if source is None:
        return None
    kept = sum(stream.events for stream in source.streams)
    return f"{source.state}: {kept:,} events kept{retry_suffix(source.streams)}"
