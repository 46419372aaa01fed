"""A run of a flow in the process of a command: its exit code, its output, and how Ctrl-C ends it."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.text import Text

from deployments import deferred
from deployments.commands.support.usage import unknown_source
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED
from deployments.prefect_session import stop_temporary
from deployments.terminal_output import print_json, print_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect.client.schemas.objects import State

    from deployments.prefect_api.server_access import PrefectAccess

CTRL_C_SECONDS = 1.0
"""How long Ctrl-C waits for a request that hangs."""
_WORST_FIRST = (INTERRUPTED, IN_ERROR, SKIPPED, DONE)
_NOT_DONE = frozenset({"Skipped", "Retrying"})  # other runs work on every API
QUIET = "WARNING"
_HEALTH_ERROR = re.compile(r"Health: \S+ \(error(/[^)]*)?\)\. ")
"""The log line of a health event, see `tasks.support.publish`."""


@contextmanager
def health_errors_hidden() -> Iterator[None]:
    """Do not log errors of the source on a terminal: the command prints them from the run's final state.

    Prefect receives the log in any case. Warnings are not part of a state, so they are shown; --debug shows everything.
    """
    if not sys.stderr.isatty() or os.environ.get("PREFECT_LOGGING_LEVEL") != QUIET:
        yield
        return
    _ = deferred.collect  # imports Prefect, which configures its logging
    handlers = logging.getLogger().handlers.copy()
    for handler in handlers:
        handler.addFilter(_is_no_health_error)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_no_health_error)


def _is_no_health_error(record: logging.LogRecord) -> bool:
    return _HEALTH_ERROR.match(record.getMessage()) is None


def exit_code_of(state: State[Any]) -> int:
    """The exit code for the final state of a run.

    A skipped run has its own code: new events may not be stored yet when it ends, so it is not DONE, but nothing is
    wrong, so it is not IN_ERROR.
    """
    if state.is_cancelled():
        return INTERRUPTED
    if state.is_failed() or state.is_crashed():
        return IN_ERROR
    return SKIPPED if outcome_of(state)[0] in _NOT_DONE else DONE


def outcome_of(state: State[Any]) -> tuple[str, str]:
    """The outcome of a run in one word, and its message."""
    found = deferred.run_state.outcome_of(state)
    return found.name, found.message


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code of several runs; DONE if there were none."""
    return min(codes, key=_WORST_FIRST.index, default=DONE)


def headline(outcome: str, message: str, code: int) -> Text:
    """The outcome of a run and its message."""
    style = {IN_ERROR: "bold red", SKIPPED: "bold yellow"}.get(code, "bold green")
    return Text.assemble((f"{outcome}:", style), f" {printable(message)}")


def print_stopped(of: dict[str, str], outcome: str, message: str, *, as_json: bool) -> None:
    """Print the outcome of a run that Ctrl-C stopped while it waited. It does not read the store, which may hang."""
    if as_json:
        print_json({**of, "state": outcome, "message": message, "in_error": False})
    else:
        print_line(headline(outcome, message, INTERRUPTED))


def shut_down(access: PrefectAccess) -> None:
    """Flush the output and stop the temporary server, in a process that ends at once."""
    with suppress(OSError):
        sys.stdout.flush()
    if access.kind == "temporary":
        stop_temporary()


def require_source(name: str) -> None:
    """Raise ThirdPartyConfigError if there is no such source."""
    if not deferred.sources.exists(name):
        raise unknown_source(name)
