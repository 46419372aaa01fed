"""The passphrase of a backup: from a file, from the environment, or typed without echo. Never on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from blocks import settings
from blocks.errors import ThirdPartyConfigError
from deployments import entry_point

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST = 12
FILE_MAX = 4096
OPTION = "--passphrase-file"
HOW = f"Type it on a terminal, name a file that holds it with {OPTION} FILE, or set {settings.PREFIX}BACKUP_PASSPHRASE."


def read_new(file: Path | None) -> str:
    """The passphrase for a new backup; typed twice. Raises ThirdPartyConfigError if there is none, or it is short."""
    found = _given(file) or _typed(
        lambda: typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    )
    if len(found) < SHORTEST:
        raise ThirdPartyConfigError(
            f"The passphrase has {len(found)} characters. It protects the tokens of your accounts, so it needs at "
            f"least {SHORTEST}. No backup was made.",
            hint="Use several words, and keep the passphrase apart from the backup.",
            code="passphrase",
        )
    return found


def read(file: Path | None) -> str:
    """The passphrase of a backup that there is. Raises ThirdPartyConfigError if none was given."""
    return _given(file) or _typed(lambda: typer.prompt("Passphrase", hide_input=True, err=True))


def _given(file: Path | None) -> str | None:
    if file is None:
        return entry_point.backup_passphrase_from_environment()
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX + 1)
        found = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ThirdPartyConfigError(
            f"{OPTION}: {file} cannot be read: {error.strerror}.", hint="Name a file with one line.", code="passphrase"
        ) from None
    except UnicodeDecodeError:
        found = ""
    if not found or "\n" in found or len(content) > FILE_MAX:
        raise ThirdPartyConfigError(
            f"{OPTION}: {file} does not hold a passphrase.",
            hint="It has to hold one line of text in UTF-8.",
            code="passphrase",
        )
    return found


def _typed(prompt: Callable[[], str]) -> str:
    if not sys.stdin.isatty():
        raise ThirdPartyConfigError(
            "There is no passphrase for the secrets in the backup.", hint=HOW, code="passphrase"
        )
    return prompt()
