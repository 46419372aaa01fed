"""OCSF's objects, of the parts of a body. Each of them is None where the body has nothing for it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from blocks.siem.ocsf.activity import OTHER, UNKNOWN
from blocks.siem.parts import is_ip, milliseconds, position, text, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMELESS = {"name": "Unknown"}
"""Where a class needs a user, a group or an entity, and the event tells none."""

_USER = 1
_EMAIL = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+")  # OCSF's email_t
_IP_MAX = 40  # characters of OCSF's ip_t
# 1Password's names of operating systems by how they begin, and OCSF's numbers.
_SYSTEMS = {
    "windows": (100, "Windows"),
    "linux": (200, "Linux"),
    "android": (201, "Android"),
    "mac": (300, "macOS"),
    "ios": (301, "iOS"),
    "ipados": (302, "iPadOS"),
}

Object = dict[str, Any]


def user(details: Mapping[str, Any], uid: str | None, account: str | None, kind: str | None) -> Object | None:
    """A person. `name` is the e-mail address that they sign in with, also where a rule has masked it."""
    email = text(details, "email")
    found = without_none(
        {
            "uid": uid or text(details, "uuid"),
            "name": email,
            "full_name": text(details, "name"),
            "email_addr": email if email and is_email(email) else None,
        }
    )
    if account:
        found["account"] = {"uid": account}
    if "name" not in found and "uid" not in found and "account" not in found:
        return None
    if kind:
        found["type_id"], found["type"] = (_USER, "User") if kind == "user" else (OTHER, kind)
    return found


@lru_cache(maxsize=4096)
def is_email(value: str) -> bool:
    return _EMAIL.fullmatch(value) is not None


def endpoint(ip: str | None, place: Mapping[str, Any]) -> Object | None:
    """Where it came from. An address that a rule has masked or hashed is a `name`."""
    if not ip:
        return None
    found: Object = {"ip" if _is_address(ip) else "name": ip}
    if where := location(place):
        found["location"] = where
    return found


def _is_address(value: str) -> bool:
    return len(value) <= _IP_MAX and is_ip(value)


def location(place: Mapping[str, Any]) -> Object | None:
    """The country is as 1Password wrote it: a code or a name."""
    named = {"city": text(place, "city"), "region": text(place, "region"), "country": text(place, "country")}
    found = without_none(named)
    if found and (at := position(place)):
        found["lat"], found["long"] = at
    return found or None


def device(client: Mapping[str, Any], ip: str | None) -> Object | None:
    """What the client runs on. Its type is not told."""
    found: Object = {"type_id": UNKNOWN, "type": "Unknown"}
    if name := text(client, "platform_name"):
        found["name"] = name
    if ip and _is_address(ip):
        found["ip"] = ip
    if "name" not in found and "ip" not in found:
        return None
    if system := text(client, "os_name"):
        found["os"] = _with_version(system, text(client, "os_version"))
    return found


def _with_version(name: str, version: str | None) -> Object:
    type_id, caption = _system(name)
    found: Object = {"name": name, "type_id": type_id, "type": caption}
    if version:
        found["version"] = version
    return found


@lru_cache(maxsize=1024)
def _system(name: str) -> tuple[int, str]:
    lower = name.lower()
    return next((found for start, found in _SYSTEMS.items() if lower.startswith(start)), (OTHER, name))


def session(found: Mapping[str, Any]) -> Object | None:
    """A session, with the time of its sign-in in milliseconds."""
    made = without_none({"uid": text(found, "uuid"), "created_time": milliseconds(found, "login_time")})
    return made or None
