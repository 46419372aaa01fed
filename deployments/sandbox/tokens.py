"""Bearer tokens: signed JWTs with the claims of 1Password's own.

The key is derived from the seed, so a token stays valid after a restart with the same seed. It protects nothing but
sample events on loopback.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from deployments.sandbox.sample_account import identifier, sample_account
from deployments.sandbox.vocabulary import APIS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployments.sandbox.clock import SandboxClock

SCOPES_CLAIM = "1password.com/fts"
ACCOUNT_CLAIM = "1password.com/auuid"
JWT_DOTS = 2
LEGACY_AUDIENCE = "com.1password.streamingservice"

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class TokenGrant:
    """What a valid token allows. `issued_at` and `expires_at` are in seconds since 1970."""

    token_id: str
    integration: str
    account: str
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: int | None


class MalformedTokenError(Exception):
    """The text is not a JWT, such as a token that was truncated when it was pasted."""


class TokenIssuer:
    def __init__(self, seed: int, host: str, clock: SandboxClock) -> None:
        secret = int.from_bytes(hashlib.sha256(f"sandbox/{seed}".encode()).digest())
        self._key = ec.derive_private_key(secret % (_P256_ORDER - 1) + 1, ec.SECP256R1())
        self._account = sample_account(seed).account
        self._integration = identifier(Random(f"integration/{seed}"))  # noqa: S311 - made-up data
        self._host = host
        self._clock = clock
        self._known: dict[str, TokenGrant] = {}
        self._revoked: set[str] = set()

    def issue(
        self,
        scopes: Sequence[str] = APIS,
        expires_in: float | None = None,
        account: str | None = None,
        audience: str | None = None,
    ) -> str:
        """`expires_in` is in seconds from now, None for never. Another `audience` than this host: a wrong region."""
        issued_at = self._clock.now_ns() // 10**9
        claims: dict[str, object] = {
            "iss": "com.1password.b5",
            "sub": self._integration,
            "aud": [audience or self._host],
            ACCOUNT_CLAIM: account or self._account,
            "1password.com/token": uuid.uuid4().hex,
            SCOPES_CLAIM: sorted(scopes),
            "jti": uuid.uuid4().hex,
            "iat": issued_at,
            **({} if expires_in is None else {"exp": int(issued_at + expires_in)}),
        }
        return jwt.encode(claims, self._key, algorithm="ES256")

    def revoke(self, token: str) -> None:
        self._revoked.add(token)

    def check(self, token: str) -> TokenGrant | None:
        """None for a token that is expired, revoked, forged or issued for another host: all look the same."""
        grant = self._known.get(token) or self._read(token)
        if grant is None or token in self._revoked:
            return None
        self._known[token] = grant
        now = self._clock.now_ns() / 1e9
        return None if grant.expires_at is not None and now >= grant.expires_at else grant

    def _read(self, token: str) -> TokenGrant | None:
        if token.count(".") != JWT_DOTS:
            raise MalformedTokenError
        unchecked = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_sub": False}
        try:
            claims = jwt.decode(token, self._key.public_key(), algorithms=["ES256"], options=unchecked)  # type: ignore[arg-type]
        except jwt.DecodeError as error:
            if isinstance(error, jwt.InvalidSignatureError):
                return None
            raise MalformedTokenError from None
        except jwt.InvalidTokenError:
            return None
        return _grant(claims) if self._is_for_us(claims) else None

    def _is_for_us(self, claims: Mapping[str, object]) -> bool:
        """The port does not count: the sandbox may have been restarted on another one."""
        audience = claims.get("aud")
        first = audience[0] if isinstance(audience, list) and audience else ""
        return first == LEGACY_AUDIENCE or str(first).split(":")[0] == self._host.split(":")[0]


def _grant(claims: Mapping[str, object]) -> TokenGrant:
    scopes, expires_at = claims[SCOPES_CLAIM], claims.get("exp")
    return TokenGrant(
        token_id=str(claims["jti"]),
        integration=str(claims["sub"]),
        account=str(claims[ACCOUNT_CLAIM]),
        scopes=tuple(scopes) if isinstance(scopes, list) else (),
        issued_at=int(str(claims["iat"])),
        expires_at=None if expires_at is None else int(str(expires_at)),
    )
