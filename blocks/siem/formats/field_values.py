"""Times, IP addresses and country codes, in the form that SIEMs accept."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from whenever import Instant

_NS_PER_MS = 1_000_000
_COUNTRY_CODE_LENGTH = 2


def rfc3339(ns: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 in UTC with nine digits, such as `2026-03-04T05:06:07.089000000Z`."""
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="nanosecond")


@lru_cache(maxsize=16)
def received_rfc3339(ns: int) -> str:
    """Return `rfc3339` of a receive time. It is cached, since all events of a page have the same one."""
    return rfc3339(ns)


def to_milliseconds(time: str | None) -> int | None:
    """Return an RFC 3339 time in milliseconds since 1970, or None if it is not a time."""
    try:
        return Instant.parse_iso(time).timestamp(unit="nanosecond") // _NS_PER_MS if time else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def is_ip(value: str) -> bool:
    """Return whether a text is an IP address without a zone. A masked or hashed address is not."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def country_code(country: str | None) -> str | None:
    """Return the country if it has the form of an ISO 3166-1 alpha-2 code, else None. 1Password also sends names."""
    if country is None or len(country) != _COUNTRY_CODE_LENGTH:
        return None
    return country if country.isascii() and country.isalpha() and country.isupper() else None


def to_text(value: object) -> str:
    """Return the value of a field as a text: true and false in lower case, numbers as Python writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
