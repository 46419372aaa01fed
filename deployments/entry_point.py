"""One call of `onepassword-source`: its environment, signals, exit codes and errors, around whichever command it is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from blocks import settings
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.http import proxies
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, TERMINATED, WRONG_USE
from deployments.lazy_commands import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deployments.lazy_commands import LazyGroup

COMPLETION_VARIABLE = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()
"""Typer's own variable: the shell sets it where it wants to complete a command line."""

_token: str | None = None


def token_from_environment() -> str | None:
    """The token that ONEPASSWORD_SOURCE_API_TOKEN held: it is taken out of the environment before a child starts."""
    return _token


def run_command(app: LazyGroup, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one clear line, with a traceback for --debug alone."""
    os.umask(0o077)  # all that is kept is for the owner alone
    global _token  # noqa: PLW0603 - taken out of the environment before anything else starts
    _token = os.environ.pop(settings.PREFIX + "API_TOKEN", None) or None
    for sentence in proxies.make_readable(os.environ):
        _print_error(f"Warning: {sentence}")
    rest, debug = _without_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        with _ended_by_sigterm():
            code = _invoke(app, rest or ["--help"])
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence
        if debug:
            traceback.print_exc()
        message, code = _error_message(error)
        _print_error(message)
        return code


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [one for one in arguments[:end] if one != "--debug"]
    debug = len(rest) < end
    if debug:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "DEBUG")
    return [*rest, *arguments[end:]], debug


def _invoke(app: LazyGroup, arguments: list[str]) -> int:
    """What a command returns is its exit code; nothing is 0."""
    if os.environ.get(COMPLETION_VARIABLE):
        app.main(prog_name=PROGRAM)  # answers the shell and exits
    # Else not main(): it has its own ways with Ctrl-C, closed pipes and errors.
    try:
        with app.make_context(PROGRAM, arguments) as context:
            returned: Any = app.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return returned if isinstance(returned, int) else DONE


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, so that nothing it started is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_error(message: str) -> None:
    from deployments.terminal_output import printable  # noqa: PLC0415 - 0.1 s that only an error takes

    lines = [printable(line) for line in message.splitlines()]
    typer.echo(f"{PROGRAM}: " + "\n".join(lines), err=True)


def _error_message(error: BaseException) -> tuple[str, int]:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "Stopped.", INTERRUPTED
    if isinstance(error, SourceError):
        if error.code == "store":  # it speaks to a run that goes on; a command ends
            error.hint = f"Check the database and {settings.PREFIX}DATABASE_URL; what was committed stays."
        return str(error), WRONG_USE if isinstance(error, ThirdPartyConfigError) else IN_ERROR
    if callable(format_message := getattr(error, "format_message", None)):  # typer's own errors of use
        context = getattr(error, "ctx", None)
        message = str(format_message()).rstrip(".").replace("'?", "'")
        return f"{message}. See: {context.command_path if context else PROGRAM} --help", WRONG_USE
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}.", IN_ERROR
    # Its text is for --debug alone: it may quote what is secret.
    return f"An unexpected fault in this program: {type(error).__name__}. --debug shows where.", IN_ERROR
