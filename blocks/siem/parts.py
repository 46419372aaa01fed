"""Parts of a body as a SIEM's types take them. What is of another type is left out; the original keeps it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from whenever import Instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONG_MAX = 2**63 - 1
_MS = 1_000_000
_LATITUDE, _LONGITUDE = 90, 180  # degrees; Elasticsearch refuses an event with more
_NOTHING: Mapping[str, Any] = {}


def inner(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name; an empty one where there is none."""
    found = members.get(name)
    return found if isinstance(found, dict) else _NOTHING


def texts(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of these members that are texts, and not empty."""
    return {name: value for name in names if isinstance(value := members.get(name), str) and value}


def text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None


def whole(members: Mapping[str, Any], name: str) -> int | None:
    """A whole number that 64 bits hold."""
    value = members.get(name)
    return value if type(value) is int and -LONG_MAX <= value <= LONG_MAX else None


def position(members: Mapping[str, Any]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, where both are there and can be."""
    latitude, longitude = _degrees(members, "latitude", _LATITUDE), _degrees(members, "longitude", _LONGITUDE)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(members: Mapping[str, Any], name: str, most: int) -> float | None:
    value = members.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most:
        return float(value)
    return None


def without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@lru_cache(maxsize=4096)
def is_ip(value: str) -> bool:
    """Whether it is an IP address; what a rule has masked or hashed is none. An address with a zone is none either."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def milliseconds(members: Mapping[str, Any], name: str) -> int | None:
    """An RFC 3339 time in milliseconds since 1970; None where it is no time."""
    value = text(members, name)
    try:
        return Instant.parse_iso(value).timestamp_nanos() // _MS if value else None
    except ValueError:
        return None


def shallow(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is nested deeper than 1Password nests: an object in an object, or in a list."""
    return {name: value for name, value in members.items() if _is_flat(value)}


def _is_flat(value: object) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not any(isinstance(one, dict | list) for one in inside)
