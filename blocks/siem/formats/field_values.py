"""What SIEMs take for an IP address, a country and a time."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from whenever import Instant

_MS = 1_000_000
_ISO = 2  # letters of a country code


@lru_cache(maxsize=4096)
def is_ip(value: str) -> bool:
    """Whether it is an IP address; what a rule has masked or hashed is none. An address with a zone is none either."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def country_code(country: str | None) -> str | None:
    """The country where it is a code of ISO 3166-1 alpha-2 by its form; 1Password has names in its place too."""
    if country is None or len(country) != _ISO:
        return None
    return country if country.isascii() and country.isalpha() and country.isupper() else None


def to_milliseconds(time: str | None) -> int | None:
    """An RFC 3339 time in milliseconds since 1970; None where it is no time."""
    try:
        return Instant.parse_iso(time).timestamp(unit="nanosecond") // _MS if time else None
    except ValueError:
        return None
