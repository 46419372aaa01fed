"""When a claim expires. Nothing here imports SQLAlchemy: `up` reads claims without it."""

from __future__ import annotations

CLAIM_NS = 240 * 10**9
"""How long a claim lasts after it was renewed: longer than one request and one commit may take, shorter than a tick."""


def expires_ns(now_ns: int, wait_ns: int = 0) -> int:
    """When a claim expires that is renewed now, for a wait of `wait_ns` and the attempt after it."""
    return now_ns + wait_ns + CLAIM_NS


def waits_until_ns(claim_expires_ns: int) -> int:
    """The latest time at which the run that waits under a claim tries again."""
    return claim_expires_ns - CLAIM_NS


def is_ahead(time_ns: int, now_ns: int) -> bool:
    """True if a recorded time lies so far in the future that the clock was set back since."""
    return time_ns > now_ns + CLAIM_NS
