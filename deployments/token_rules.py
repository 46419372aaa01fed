"""The rules by which `apply` accepts tokens. Apart, because a command reads it before Prefect is imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenRules:
    """Which tokens `apply` accepts besides those that introspection confirms for the source's account and APIs.

    `new_account`: a token of another account. `unchecked`: a token that could not be checked because the API was not
    reached. `replace_token`: a token that was issued before the current one.
    """

    new_account: bool = False
    unchecked: bool = False
    replace_token: bool = False


DEFAULT_RULES = TokenRules()
