"""Secrets that a configuration does not hold but refers to. One piece of code for tokens, SIEMs and settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blocks.problems import ConfigurationError, Problem, quote
from blocks.secret_references import onepassword_cli, secret_file

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMS = 'a text, {"file": "/path"}, {"env": "NAME"}, or op://vault/item/field'


class SecretReader:
    """Reads secrets at the moment when a configuration is applied. `warnings` names files that others may read.

    Without `follows`, a reference is a problem: who may add a source in a browser must not read files of the server.
    """

    def __init__(self, *, follows: bool = True) -> None:
        self._follows = follows
        self._read: dict[str, str] = {}
        self.warnings: list[str] = []

    def read(self, value: object, path: str, problems: list[Problem]) -> object:
        """The secret that a value at `path` refers to; any other value as it is. After a problem: an empty text."""
        if not is_reference(value):
            return value
        if not self._follows:
            problems.append(unread_reference(path))
            return ""
        try:
            return self._text(value, path)
        except ConfigurationError as error:
            problems += error.problems
            return ""

    def _text(self, value: object, path: str) -> str:
        if isinstance(value, str):
            return self._from_onepassword(value, path)
        kind, name = _kind_and_name(value)
        if kind == "env" and name:
            return self._from_variable(name, path)
        if kind == "file" and name:
            if warning := secret_file.exposure(name):
                self.warnings.append(warning)
            return secret_file.read(name, path)
        raise ConfigurationError([Problem(path, "it is not a secret", FORMS)])

    def _from_variable(self, name: str, path: str) -> str:
        text = os.environ.get(name, "")
        if not text:
            description = f"the environment variable {quote(name)} is not set"
            raise ConfigurationError([Problem(path, description, "a variable that holds the secret")])
        return self._from_onepassword(text, path) if onepassword_cli.is_reference(text) else text

    def _from_onepassword(self, reference: str, path: str) -> str:
        if reference not in self._read:  # each call takes a second, and many sources may share a secret
            self._read[reference] = onepassword_cli.read(reference, path)
        return self._read[reference]


def is_reference(value: object) -> bool:
    """True for an object, and for a text that begins with op://. A secret itself is never either of them."""
    return isinstance(value, dict) or (isinstance(value, str) and onepassword_cli.is_reference(value))


def unread_reference(path: str) -> Problem:
    """The problem of a reference at a place where none is followed: a form in a browser, a block in Prefect's UI."""
    return Problem(
        path,
        "it refers to a secret on the server, and references are not read here",
        "the secret itself; `onepassword-source apply FILE` on the server reads references",
    )


def _kind_and_name(value: object) -> tuple[str, str]:
    members: Mapping[str, object] = value if isinstance(value, dict) else {}
    kind, name = next(iter(members.items()), ("", ""))
    return (kind, name) if len(members) == 1 and isinstance(name, str) else ("", "")
