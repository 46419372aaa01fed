"""The claims inside a token. They are not verified: only 1Password's server can do that."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks.problems import Problem
from blocks.secret_references.secret_reader import is_reference, unread_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_HOST = "com.1password.streamingservice"  # the audience of tokens made before it named the host
TOKEN_MAX = 8192  # about what a server takes as one header
_PARTS = 3
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What we use of a token's claims. Times are seconds since 1970; without `expires_at` it never expires.

    `host` is the Events API server that the token was made for, and `scopes` are the names of its features
    (`signinattempts`, `itemusages`, `auditevents`), if the token names them.
    """

    host: str | None
    scopes: frozenset[str]
    account_uuid: str | None
    issued_at: float | None
    expires_at: float | None


def read_claims(token: str) -> TokenClaims | None:
    """The claims, unverified, or None where the token is not a JWT of three parts."""
    claims = _decode(token)
    if claims is None:
        return None
    return TokenClaims(
        host=_host(claims.get("aud")),
        scopes=_scopes(claims.get("1password.com/fts")),
        account_uuid=_text(claims.get("1password.com/auuid")),
        issued_at=_time(claims.get("iat")),
        expires_at=_time(claims.get("exp")),
    )


def _decode(token: str) -> Mapping[str, Any] | None:
    import jwt  # noqa: PLC0415 - 0.1 s, and most commands need no token

    if token.count(".") != _PARTS - 1:
        return None
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None


def _host(audience: object) -> str | None:
    first = audience[0] if isinstance(audience, list) and audience else audience
    if not isinstance(first, str) or first == NO_HOST or not _HOST.fullmatch(first):
        return None
    return first.lower()


def _scopes(features: object) -> frozenset[str]:
    if not isinstance(features, list):
        return frozenset()
    return frozenset(name for name in features if isinstance(name, str))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def token_problem(place: str, token: str) -> Problem | None:
    """What is wrong with the form of a token that stands at `place` in a configuration, if anything is."""
    if is_reference(token):
        return unread_reference(place)
    if token != token.strip():
        return Problem(place, "the token has white space around it", "the token alone, without it")
    if re.match(r"bearer\s", token, re.IGNORECASE):
        return Problem(place, "the token begins with the word Bearer", "the token alone, without it")
    if re.search(r"\s", token):
        return Problem(place, "the token has white space in it", "the whole token in one piece")
    if not token.isascii() or not token.isprintable() or '"' in token:
        return Problem(place, "the token holds a character that no token has", "the token as 1Password showed it")
    if len(token) > TOKEN_MAX:
        return Problem(place, f"the token has {len(token)} characters", "the token as 1Password showed it")
    return None
