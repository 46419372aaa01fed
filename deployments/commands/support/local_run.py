"""A run of a flow in the process of a command: its exit code, what is printed of it, and how Ctrl-C ends it."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rich.text import Text

from blocks.errors import ThirdPartyConfigError
from deployments.commands.support import deferred
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, SKIPPED
from deployments.prefect_session import stop_temporary
from deployments.terminal_output import print_json, print_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect.client.schemas.objects import State

    from deployments.prefect_api.server_access import PrefectAccess

CTRL_C_SECONDS = 1.0
"""How long a person who has pressed Ctrl-C waits for what hangs."""
_WORST_FIRST = (INTERRUPTED, IN_ERROR, SKIPPED, DONE)
_NOT_DONE = frozenset({"Skipped", "Retrying"})  # other runs have every API
QUIET = "WARNING"
_HEALTH_ERROR = re.compile(r"Health: \S+ \(error(/[^)]*)?\)\. ")
"""As `tasks.support.publish` logs it."""


@contextmanager
def health_errors_hidden() -> Iterator[None]:
    """On a terminal an error of the source is not logged: the run's state has it, and the command prints that.

    Prefect gets the log in any case. Warnings stand in no state, so they are shown; with --debug everything is.
    """
    if not sys.stderr.isatty() or os.environ.get("PREFECT_LOGGING_LEVEL") != QUIET:
        yield
        return
    _ = deferred.collect  # imports Prefect, which sets up its logging
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
