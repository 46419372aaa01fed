"""A time as every SIEM is told it: RFC 3339 in UTC, with all nine digits."""

from __future__ import annotations

from functools import lru_cache

from whenever import Instant


def rfc3339(ns: int) -> str:
    """Such as `2026-03-04T05:06:07.089000000Z`, of nanoseconds since 1970."""
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="nanosecond")


@lru_cache(maxsize=16)
def received_rfc3339(ns: int) -> str:
    """The same, for when an event was received: all those of a page have that in common."""
    return rfc3339(ns)
