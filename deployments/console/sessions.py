"""Logins of the console: two passwords with a role each, signed cookies and CSRF tokens.

A session is a signed token in a cookie, so any process with the same password accepts it, and nothing is stored. A new
operator password ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

import jwt

from blocks import clock
from deployments.console.passwords import Passwords, digest, encoded

SESSION_SECONDS = 12 * 3600
_ALGORITHM = "HS256"


class Role(StrEnum):
    """A viewer reads. An operator also acts, and uses Prefect's UI."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Session:
    """A login: the role, the name that the person gave, and a random id. It expires at `expires` (s since 1970)."""

    role: Role
    person: str
    id: str
    expires: float

    @property
    def is_operator(self) -> bool:
        return self.role is Role.OPERATOR


class Sessions:
    """Creates and reads sessions."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._key = digest(passwords.operator, "sessions of the console")

    def role_of(self, password: str) -> Role | None:
        """The role of a password, which may have its user in front: `viewer:…`. None if it is wrong."""
        given = password.strip().rpartition(":")[2].encode()
        is_operator = hmac.compare_digest(given, self._passwords.operator.encode())
        is_viewer = hmac.compare_digest(given, (self._passwords.viewer or "").encode())
        if is_operator:
            return Role.OPERATOR
        return Role.VIEWER if is_viewer and self._passwords.viewer else None

    def create(self, role: Role, person: str) -> Session:
        return Session(role, person, secrets.token_urlsafe(18), clock.now() + SESSION_SECONDS)

    def encode(self, session: Session) -> str:
        """The value of the cookie."""
        claims = {"role": session.role, "person": session.person, "id": session.id, "until": session.expires}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def decode(self, cookie: str) -> Session | None:
        """The session of a cookie; None if it is forged, damaged or over."""
        try:
            claims = jwt.decode(cookie, self._key, algorithms=[_ALGORITHM])
            session = Session(Role(claims["role"]), claims["person"], claims["id"], claims["until"])
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
            return None
        return session if session.expires > clock.now() else None

    def csrf_token(self, session: Session) -> str:
        """What each form of this session must bring."""
        return encoded(hmac.digest(self._key, f"csrf {session.id}".encode(), hashlib.sha256))

    def is_csrf_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.csrf_token(session).encode(), token.encode())
