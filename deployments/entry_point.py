"""One call of `onepassword-source`: environment, signals, exit codes and error messages around any command."""

from __future__ import annotations

import os
import platform
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
from deployments import secret_files
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, TERMINATED, WRONG_USE
from deployments.lazy_commands import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deployments.lazy_commands import LazyGroup

COMPLETION_VARIABLE = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()
"""Typer's variable. The shell sets it when it completes a command line."""

TOKEN_VARIABLE = settings.PREFIX + "API_TOKEN"
UNIX_MODULES = ("fcntl", "grp", "pwd", "termios")
"""Modules of Python that Windows does not have: locks on files, users, terminals."""
_NO_UNIX = (
    " Nothing was changed, and no event is affected. Run it in WSL 2, in a container, or on a Linux machine. Commands"
    " that only read a store, such as `status`, may work here if ONEPASSWORD_SOURCE_DATABASE_URL names a PostgreSQL."
)
PASSPHRASE_VARIABLE = settings.PREFIX + "BACKUP_PASSPHRASE"
_token: str | None = None
_backup_passphrase: str | None = None


def token_from_environment() -> str | None:
    """The token of ONEPASSWORD_SOURCE_API_TOKEN, which `run_command` removed from the environment.

    Raises ConfigurationError if it is a reference to 1Password that cannot be read.
    """
    return settings.without_reference(TOKEN_VARIABLE, _token)


def backup_passphrase_from_environment() -> str | None:
    """The passphrase of ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE, which `run_command` removed from the environment.

    Raises ConfigurationError if it is a reference to 1Password that cannot be read.
    """
    return settings.without_reference(PASSPHRASE_VARIABLE, _backup_passphrase)


def run_command(app: LazyGroup, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one line; only --debug shows a traceback."""
    os.umask(0o077)  # only the owner may read what commands write
    try:
        warnings = secret_files.read_into(os.environ)
    except ThirdPartyConfigError as error:
        _print_error(str(error))
        return WRONG_USE
    global _token, _backup_passphrase  # noqa: PLW0603 - no child process may inherit them
    _token = os.environ.pop(TOKEN_VARIABLE, None) or None
    _backup_passphrase = os.environ.pop(PASSPHRASE_VARIABLE, None) or None
    for sentence in (*warnings, *proxies.make_readable(os.environ)):
        _print_error(f"Warning: {sentence}")
    rest, debug = _without_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        with _ended_by_sigterm():
            code = _invoke(app, rest or ["--help"])
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the reader of a pipe (head, less) has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the user gets a line, not a traceback
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
    """Run the command. Its return value is the exit code; None is 0."""
    if os.environ.get(COMPLETION_VARIABLE):
        app.main(prog_name=PROGRAM)  # prints the completions and exits
    # Otherwise not main(): it handles Ctrl-C, closed pipes and errors in its own way.
    try:
        with app.make_context(PROGRAM, arguments) as context:
            returned: Any = app.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return returned if isinstance(returned, int) else DONE


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end the command as Ctrl-C does, so that it stops the processes it started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_error(message: str) -> None:
    from deployments.terminal_output import printable  # noqa: PLC0415 - 0.1 s that only errors need

    lines = [printable(line) for line in message.splitlines()]
    typer.echo(f"{PROGRAM}: " + "\n".join(lines), err=True)


def _error_message(error: BaseException) -> tuple[str, int]:
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "Stopped.", INTERRUPTED
    if isinstance(error, SourceError):
        if error.code == "store":  # its hint is written for a run that continues; a command ends
            error.hint = f"Check the database and {settings.PREFIX}DATABASE_URL. Committed events are safe."
        return str(error), WRONG_USE if isinstance(error, ThirdPartyConfigError) else IN_ERROR
    if callable(format_message := getattr(error, "format_message", None)):  # Typer's usage errors
        context = getattr(error, "ctx", None)
        message = str(format_message()).rstrip(".").replace("'?", "'")
        return f"{message}. See: {context.command_path if context else PROGRAM} --help", WRONG_USE
    if isinstance(error, ModuleNotFoundError) and error.name in UNIX_MODULES:
        # The command was being imported, so it has not done anything yet.
        return f"This command does not work on {platform.system()}: it needs Linux or macOS.{_NO_UNIX}", WRONG_USE
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}.", IN_ERROR
    # Only --debug shows its text, because the text may quote a secret.
    return f"Unexpected {type(error).__name__} in this program. Run the command with --debug to see where.", IN_ERROR
