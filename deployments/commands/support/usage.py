"""Errors of wrong use, in one form for all commands: what is wrong, and where to look or what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.problems import closest_match

if TYPE_CHECKING:
    from collections.abc import Sequence


def usage_error(command: str, *problems: str) -> ThirdPartyConfigError:
    """The error with all problems, sentences with or without their full stops, and the help of the command."""
    sentences = " ".join(f"{problem.removesuffix('.')}." for problem in problems)
    return ThirdPartyConfigError(sentences, hint=f"See: {command_line(command, options=('--help',))}", code="usage")


def invalid_value(flag: str, value: str, allowed: Sequence[str]) -> ThirdPartyConfigError:
    """The error for a value that an option does not take, with the closest one that it takes."""
    close = closest_match(value, tuple(allowed))
    hint = f"Did you mean {close}?" if close else ""
    return ThirdPartyConfigError(f"{flag} takes {', '.join(allowed)}, not {value!r}.", hint=hint, code="usage")


def unknown_source(name: str) -> ThirdPartyConfigError:
    """The error for a name that no source has."""
    return ThirdPartyConfigError(
        f"There is no source named {name!r}.",
        hint="Create it with `onepassword-source apply FILE`. `onepassword-source list` lists all sources.",
        code="unknown-source",
    )
