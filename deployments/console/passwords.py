"""The two passwords of the console. `up` prints them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Passwords:
    """The password of each role. Without one for viewers there are none."""

    operator: str
    viewer: str | None

    @classmethod
    def derived(cls, operator: str) -> Passwords:
        """Both passwords from that of the operator. That of the viewer says nothing of the operator's."""
        return cls(operator, encoded(digest(operator, "viewer of the console"))[:24])


def digest(password: str, purpose: str) -> bytes:
    """A secret of its own for each purpose, which does not reveal the password."""
    return hmac.digest(password.encode(), purpose.encode(), hashlib.sha256)


def encoded(secret: bytes) -> str:
    """Bytes as text that can be typed."""
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")
