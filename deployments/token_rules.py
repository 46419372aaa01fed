"""Which tokens `apply` takes: what its flags say. Apart, since a command reads it before Prefect may be imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenRules:
    """Which tokens `apply` takes beside those that introspection accepts for the account and the APIs of the source.

    `new_account`: one of another account. `unchecked`: one that could not be checked, since the API was not reached.
    `replace_token`: one that was issued before the present one.
    """

    new_account: bool = False
    unchecked: bool = False
    replace_token: bool = False


DEFAULT_RULES = TokenRules()
