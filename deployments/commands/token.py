"""`onepassword-source token`: replace the token of a source with a checked one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.problems import ConfigurationError, Problem
from blocks.secret_references.secret_reader import SecretReader
from deployments import deferred
from deployments.commands.support.options import Json, Name
from deployments.commands.support.run_notes import note_after_start
from deployments.entry_point import token_from_environment
from deployments.prefect_session import prefect_session
from deployments.terminal_output import (
    print_json,
    print_line,
    print_note,
    print_warning,
    printable,
    with_spinner,
)

if TYPE_CHECKING:
    from uuid import UUID

    from deployments.json_records.sources import TokenRecord
    from deployments.token_check import TokenCheck

LINE_MAX = 100_000  # of standard input; longer than any token, so that a wrong file gets a clear error

DETAILS = """
The new token is typed without echo, or comes from standard input or ONEPASSWORD_SOURCE_API_TOKEN. It may be a reference
to 1Password (op://vault/item/field). Its account and scopes are checked by introspection before the old one is removed.
"""


def command(
    name: Name,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Replace it even if 1Password cannot check the new one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the new token, check it, and replace the old one."""
    with prefect_session() as access:
        source = deferred.lifecycle.locate(name)
        source.valid_block()  # before you type a token in vain
        given = (token_from_environment() or _follow(_read_token(name).strip())).strip()
        checked = with_spinner(
            "Checking the token…", lambda: deferred.lifecycle.check_token(source, given, unchecked=unchecked)
        )
        for warning in checked.warnings:
            print_warning(f"{name}: {warning}")
        with_spinner(
            "Replacing it…", lambda: deferred.lifecycle.replace_token(source, given, checked=checked.scopes is not None)
        )
        started = None if access.kind == "temporary" else deferred.lifecycle.run_now(source)
    _show(name, checked, started, as_json=as_json)
    if started:
        note_after_start(access, source)
    else:
        print_note(f"Collect with it now: {command_line('collect', name)}")


def _read_token(name: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"New API token of {printable(name)}", hide_input=True, err=True))
    token = sys.stdin.readline(LINE_MAX)
    if not token.strip():
        raise ThirdPartyConfigError(
            "There is no token on standard input.",
            hint="Pipe it in, set ONEPASSWORD_SOURCE_API_TOKEN, or run this in a terminal and type it.",
            code="usage",
        )
    return token


def _follow(given: str) -> str:
    """The token itself, where an op:// reference was given. Raises ConfigurationError."""
    problems: list[Problem] = []
    token = SecretReader().read(given, "the new token", problems)
    if problems:
        raise ConfigurationError(problems)
    return str(token)


def _show(name: str, checked: TokenCheck, started: UUID | None, *, as_json: bool) -> None:
    scopes = sorted(checked.scopes) if checked.scopes is not None else None
    if as_json:
        answer: TokenRecord = {
            "source": name,
            "account_uuid": checked.account,
            "scopes": scopes,
            "flow_run_id": str(started) if started else None,
        }
        print_json(answer)
        return
    whose = f" of account {printable(checked.account)}" if checked.account else ""
    may = f"; it may read {printable(', '.join(scopes))}" if scopes else ""
    print_line(f"{printable(name)}: the token was replaced with one{whose}{may}.")
    if started:
        print_line(f"The run 'collect {printable(name)}' was started ({started}).")
